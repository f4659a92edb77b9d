interface Returned {
  /** How often it was given to somebody who did not finish it. */
  readonly returns: number
}

/**
 * The messages with which a consumer begins that is alone. A quorum queue puts what a dead consumer held behind everything else that was returned before: when one
 * dies that has taken a few of them only, these come last. But of two messages the earlier one has been returned at least as often, and more often where it
 * comes behind the later one. So their order is found again when all are there, and nothing is given out before.
 */
export class ReturnedMessages {
  /** How many waited when the consumer began. */
  readonly #waiting: number
  #isComplete: boolean

  constructor(waiting: number) {
    this.#waiting = waiting
    this.#isComplete = waiting === 0
  }

  /** Whether all have come: what was never given out before comes behind them. `mayCome`: whether the broker may send more. */
  isComplete(arrived: readonly Returned[], mayCome: boolean): boolean {
    this.#isComplete ||= arrived.length >= this.#waiting || arrived.at(-1)?.returns === 0 || !mayCome
    return this.#isComplete
  }

  static inOrder<T extends Returned>(arrived: readonly T[]): T[] {
    return arrived.toSorted((a, b) => b.returns - a.returns)
  }
}
