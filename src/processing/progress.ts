/**
 * How far a processor has come when messages are finished out of order: up to where everything is finished, and what is finished above it. Positions are
 * begun in ascending order.
 */
export class Progress {
  /** Begun and not finished, in ascending order; without `#latest`. */
  readonly #open = new Set<number>()
  /** The last one that was begun, while it is not finished: most are finished before the next one is begun, and need not be collected. */
  #latest: number | undefined
  /** What an earlier process had finished above the position from which this one begins. */
  readonly #earlier: Earlier
  /** Everything up to here was begun, or is for somebody else. */
  #through: number
  #highestFinished: number

  /** Goes on from a checkpoint with what `state` said when it was saved. */
  constructor(position: number, state: ProgressState | undefined) {
    this.#through = position
    this.#highestFinished = position
    this.#earlier = { through: state?.through ?? position, open: new Set(state?.open.map((distance) => position + distance)) }
  }

  /** How many are begun and not finished. */
  get openCount(): number {
    return this.#latest === undefined ? this.#open.size : this.#open.size + 1
  }

  /** Up to here everything is finished. */
  get position(): number {
    const [oldest = this.#latest] = this.#open
    return oldest === undefined ? this.#through : oldest - 1
  }

  /** What must be known beside the position; undefined when it says everything. */
  get state(): ProgressState | undefined {
    const { position } = this
    // After a restart, what an earlier process had finished is still to come again for as long as it was not met.
    const through = Math.max(this.#highestFinished, this.#earlier.through)
    if (through <= position) return undefined
    const open: number[] = []
    for (const one of this.#open) if (one < through) open.push(one - position)
    if (this.#latest !== undefined && this.#latest < through) open.push(this.#latest - position)
    if (this.#earlier.through > this.#through) for (const one of this.#earlier.open) if (one > this.#through) open.push(one - position)
    return { through, open }
  }

  /** True when an earlier process has finished it; then it counts as finished here too. */
  wasFinished(position: number): boolean {
    return position <= this.#earlier.through && !this.#earlier.open.has(position)
  }

  begin(position: number): void {
    if (this.#latest !== undefined) this.#open.add(this.#latest)
    this.#latest = position
    this.#through = position
  }

  finish(position: number): void {
    if (position === this.#latest) this.#latest = undefined
    else this.#open.delete(position)
    if (position > this.#highestFinished) this.#highestFinished = position
  }

  /** Everything up to here was begun, or needs nothing. */
  pass(position: number): void {
    if (position > this.#through) this.#through = position
    if (position > this.#highestFinished && this.openCount === 0) this.#highestFinished = position
  }
}

/** Everything up to `through` is finished but these, which are given by their distance to the checkpoint. */
export interface ProgressState {
  readonly through: number
  readonly open: readonly number[]
}

interface Earlier {
  readonly through: number
  readonly open: ReadonlySet<number>
}
