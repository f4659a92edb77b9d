/**
 * A message that is given out later carries when it is due, by the publisher's clock. The server gives it out at once, and whoever consumes gives it back with what is left
 * by his own clock until then: it waits at the server, in nobody's way. Servers schedule messages themselves since 2.12 only, and older ones ignore that.
 *
 * A day at most: the server keeps in memory what it has given out and not heard of again, for each group, and the topic must keep it for as long.
 */
export const maxDelayMs: number = 24 * 3_600_000

/** About 10 MB. Of more is not known what they are; whoever connects again then waits for some of them, `ackWaitMs` at most. */
const maxNoted = 100_000

/** What waits at the server because this process has said so, by the number in the stream. It will not come before it is due, so nobody need wait for it. */
export class Postponed {
  readonly #dueMs = new Map<number, number>()

  note(sequence: number, dueMs: number): void {
    if (this.#dueMs.size < maxNoted || this.#dueMs.has(sequence)) this.#dueMs.set(sequence, dueMs)
  }

  /** Messages that are not due yet. */
  count(nowMs: number): number {
    for (const [sequence, dueMs] of this.#dueMs) if (dueMs <= nowMs) this.#dueMs.delete(sequence)
    return this.#dueMs.size
  }

  clear(): void {
    this.#dueMs.clear()
  }
}
