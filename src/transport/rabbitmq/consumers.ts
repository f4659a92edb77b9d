/** A consumer of a channel, and what was delivered to it. */
export interface Consumer {
  readonly name: string
  /** The number of its first delivery. */
  first: number
  /** Delivered and not settled. */
  held: number
}

/** Below the 32 from which on the broker loses the order of names. */
const maxHolding = 24

/**
 * The consumers that follow each other on one channel. One that has ended may hold messages when the next one is given later messages. If the channel is lost
 * then, the broker takes back what each of them held, one consumer after the other in the order of their names (of their age since 4.0): named in ascending
 * order they give the messages back in the order in which they came. That holds while a queue has at most 32 consumers; since 4.3 always.
 */
export class Consumers {
  readonly #all: Consumer[] = []
  #count = 0

  next(): Consumer {
    const consumer = { name: `headwater-${String(++this.#count).padStart(9, '0')}`, first: 0, held: 0 }
    // Those that have nothing left are of no interest any more; one to which nothing came never was.
    const holding = this.#all.filter(({ held }) => held > 0)
    this.#all.splice(0, this.#all.length, ...holding, consumer)
    return consumer
  }

  /** Whether another one may be begun in place of the one that is there. */
  get mayFollow(): boolean {
    return this.#all.reduce((count, { held }) => (held > 0 ? count + 1 : count), 0) < maxHolding
  }

  /** The deliveries of a channel are numbered, those of a consumer after those of the one before it. */
  delivered(consumer: Consumer, tag: number): void {
    if (consumer.first === 0) consumer.first = tag
    consumer.held++
  }

  settled(tag: number): void {
    const consumer = this.#all.findLast(({ first }) => first > 0 && first <= tag)
    if (consumer) consumer.held--
  }
}
