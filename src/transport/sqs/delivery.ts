import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import type { EncodedMessage } from './encode.ts'

export const confirmed: PublishOutcome = { ok: true }

/** One call of `publish`, until each of its messages has its outcome. */
export class PublishCall {
  readonly deadlineMs: number
  readonly outcomes: Promise<readonly PublishOutcome[]>
  /** Of messages without an outcome. */
  readonly deliveries: Set<Delivery> = new Set()
  readonly #outcomes: PublishOutcome[]
  readonly #resolve: (outcomes: readonly PublishOutcome[]) => void
  #left: number

  constructor(count: number, deadlineMs: number) {
    const { promise, resolve } = Promise.withResolvers<readonly PublishOutcome[]>()
    this.deadlineMs = deadlineMs
    this.outcomes = promise
    this.#outcomes = Array.from({ length: count }, () => confirmed)
    this.#left = count
    this.#resolve = resolve
    if (count === 0) resolve([])
  }

  settle(index: number, outcome: PublishOutcome): void {
    this.#outcomes[index] = outcome
    if (--this.#left === 0) this.#resolve(this.#outcomes)
  }
}

/** One message on its way to the queue of each group. */
export class Delivery {
  readonly id: string
  readonly key: string | undefined
  readonly encoded: EncodedMessage
  readonly #call: PublishCall
  readonly #index: number
  #queuesLeft = 1
  #refusal: Error | undefined
  #isOver = false

  constructor({ id, key }: OutgoingMessage, encoded: EncodedMessage, call: PublishCall, index: number) {
    this.id = id
    this.key = key
    this.encoded = encoded
    this.#call = call
    this.#index = index
    call.deliveries.add(this)
  }

  /** It has its outcome: whoever still had to send it need not. */
  get isOver(): boolean {
    return this.#isOver
  }

  splitOver(queues: number): void {
    this.#queuesLeft = queues
    if (queues === 0) this.#settle(confirmed)
  }

  confirm(): void {
    if (!this.#isOver && --this.#queuesLeft === 0) this.#settle(this.#refusal ? refused(this.#refusal) : confirmed)
  }

  /** One queue will never take it. The others get it all the same. */
  refuse(error: Error): void {
    this.#refusal ??= error
    this.confirm()
  }

  /** It is not tried any more. */
  fail(error: Error): void {
    if (!this.#isOver) this.#settle({ ok: false, refused: false, error })
  }

  #settle(outcome: PublishOutcome): void {
    this.#isOver = true
    this.#call.deliveries.delete(this)
    this.#call.settle(this.#index, outcome)
  }
}

export function refused(error: Error): PublishOutcome {
  return { ok: false, refused: true, error }
}
