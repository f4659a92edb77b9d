export interface Waiting {
  readonly key: string | undefined
  readonly deadlineMs: number
  readonly bytes: number
  isDone: boolean
}

/** Messages from when they are handed over until they are confirmed or given up, in their order. */
export class Backlog<T extends Waiting> {
  #entries: T[] = []
  /** The first that is not done, as far as is known. */
  #head = 0
  /** The first that was not sent yet. */
  #next = 0
  #size = 0

  /** How many are not done. */
  get size(): number {
    return this.#size
  }

  push(entry: T): void {
    this.#entries.push(entry)
    this.#size++
  }

  /** The next one to send, which counts as sent then. */
  next(): T | undefined {
    while (this.#next < this.#entries.length) {
      const entry = this.#entries[this.#next++]
      if (entry && !entry.isDone) return entry
    }
    return undefined
  }

  /** Everything that is not done is to be sent again. */
  rewind(): void {
    this.#next = this.#head
  }

  finish(entry: T): void {
    entry.isDone = true
    this.#size--
    while (this.#entries[this.#head]?.isDone) this.#head++
    this.#next = Math.max(this.#next, this.#head)
    // All at once, or now and then, so that forgetting costs little for each.
    if (this.#size > 0 && (this.#head < 1_024 || this.#head * 2 < this.#entries.length)) return
    this.#entries = this.#entries.slice(this.#head)
    this.#next -= this.#head
    this.#head = 0
  }

  oldest(): T | undefined {
    return this.#entries[this.#head]
  }

  all(): readonly T[] {
    return this.#entries.slice(this.#head).filter(({ isDone }) => !isDone)
  }

  /** Those whose time is over, and those that stand behind one of them and are of its key. */
  overdue(nowMs: number): readonly T[] {
    const keys = new Set<string>()
    return this.all().filter(({ key, deadlineMs }) => {
      if (deadlineMs > nowMs && (key === undefined || !keys.has(key))) return false
      if (key !== undefined) keys.add(key)
      return true
    })
  }
}
