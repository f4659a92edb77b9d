import type { PublishOutcome } from '../port.ts'

export const ok: PublishOutcome = { ok: true }

/** One call of `publish`: an outcome for each of its messages, in their order. */
export class Call {
  readonly outcomes: PublishOutcome[]
  /** When each message has its outcome. */
  readonly settled: Promise<void>
  #left: number
  #resolve!: () => void

  constructor(count: number) {
    this.outcomes = Array.from({ length: count }, () => ok)
    this.#left = count
    this.settled = new Promise((resolve) => (this.#resolve = resolve))
  }

  /** Once for each message. */
  settle(index: number, outcome: PublishOutcome): void {
    this.outcomes[index] = outcome
    if (--this.#left === 0) this.#resolve()
  }
}
