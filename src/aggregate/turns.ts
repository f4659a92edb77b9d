/**
 * Lets work on the same key run one after another, in the order in which it was asked for, and work on different keys side by side. Callers of one
 * process thus do not conflict with each other over an aggregate; only those of other processes are left to conflict with.
 */
export class Turns {
  /** The end of the line of each key that has one. */
  readonly #last = new Map<string, Promise<unknown>>()

  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const mine = before ? before.then(work, work) : work()
    this.#last.set(key, mine)
    try {
      return await mine
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key)
    }
  }
}
