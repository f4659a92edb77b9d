import type { Delivery } from './delivery.ts'

/** The messages of one key that wait for one queue, in their order. */
export class Lane {
  readonly key: string | undefined
  /** A request with its first message is on its way. */
  isBusy = false
  /** A request with its first message was refused as a whole: the next one holds nothing else. */
  isSuspect = false
  #waiting: Delivery[] = []
  /** Where it begins: taking from the front of a long array costs as much as it is long. */
  #first = 0

  constructor(key: string | undefined) {
    this.key = key
  }

  add(delivery: Delivery): void {
    this.#waiting.push(delivery)
  }

  /** The first one that is still to be sent. */
  next(): Delivery | undefined {
    while (this.#waiting[this.#first]?.isOver) this.take()
    return this.#waiting[this.#first]
  }

  take(): Delivery {
    const delivery = this.#waiting[this.#first++]!
    if (this.#first > 1_000 || this.#first === this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#first)
      this.#first = 0
    }
    return delivery
  }

  putBack(delivery: Delivery): void {
    if (this.#first > 0) this.#waiting[--this.#first] = delivery
    else this.#waiting.unshift(delivery)
  }

  clear(): readonly Delivery[] {
    const waiting = this.#waiting.slice(this.#first)
    this.#waiting = []
    this.#first = 0
    return waiting
  }
}
