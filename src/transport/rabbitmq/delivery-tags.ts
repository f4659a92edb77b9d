/** What to tell the broker so that it knows which deliveries are finished. */
export interface Settlement {
  /** All that were delivered up to this tag, which is one of those just finished. */
  readonly upTo: number | undefined
  readonly single: readonly number[]
}

/**
 * The tags of one channel, which number its deliveries from 1. Each may be settled once: the broker closes the channel over a second time. Most
 * deliveries are finished in about the order in which they came, so that one acknowledgement can stand for many.
 */
export class DeliveryTags {
  /** Everything up to here is settled. */
  #low = 0
  /** What is settled above. */
  readonly #above = new Set<number>()

  /** Notes that the delivery is finished or given back. False when it was before. */
  settle(tag: number): boolean {
    if (tag <= this.#low || this.#above.has(tag)) return false
    this.#above.add(tag)
    return true
  }

  /** How to acknowledge these, which were settled just now and stand in ascending order. */
  acknowledge(tags: readonly number[]): Settlement {
    while (this.#above.delete(this.#low + 1)) this.#low++
    const beyond = tags.findIndex((tag) => tag > this.#low)
    const covered = beyond === -1 ? tags.length : beyond
    return { upTo: tags[covered - 1], single: tags.slice(covered) }
  }
}
