/** From the first to the last, both included. */
export type NumberRange = readonly [first: number, last: number]

/** Whole numbers from 1, kept as ranges: a few, where nearly all up to the highest are there. */
export class SequenceNumbers {
  /** Ascending, with at least one number missing between any two. */
  readonly #ranges: [first: number, last: number][]

  constructor(ranges: readonly NumberRange[] = []) {
    this.#ranges = ranges.map(([first, last]) => [first, last])
  }

  get ranges(): readonly NumberRange[] {
    return this.#ranges
  }

  has(number: number): boolean {
    const range = this.#ranges[this.#indexOf(number)]
    return range !== undefined && range[0] <= number
  }

  /** The lowest one, from this number on, that is not there. */
  firstMissing(from: number): number {
    const range = this.#ranges[this.#indexOf(from)]
    return range && range[0] <= from ? range[1] + 1 : from
  }

  /** How many ranges stand above the number. */
  rangesAbove(number: number): number {
    const index = this.#indexOf(number)
    const range = this.#ranges[index]
    return this.#ranges.length - index - (range && range[0] <= number ? 1 : 0)
  }

  /** The lowest one above a number that is not there; Infinity when there is none. */
  firstAbove(missing: number): number {
    return this.#ranges[this.#indexOf(missing)]?.[0] ?? Infinity
  }

  add(first: number, last: number = first): void {
    if (last < first) return
    const ranges = this.#ranges
    // Ranges that touch the new one become one with it.
    const from = this.#indexOf(first - 1)
    let to = from
    while (to < ranges.length && ranges[to]![0] <= last + 1) to++
    if (from === to) ranges.splice(from, 0, [first, last])
    else {
      const joined: [number, number] = [Math.min(first, ranges[from]![0]), Math.max(last, ranges[to - 1]![1])]
      ranges.splice(from, to - from, joined)
    }
  }

  /** Of the first range that does not end before the number. */
  #indexOf(number: number): number {
    // Numbers come nearly in order: what is looked for is at the end.
    let index = this.#ranges.length
    while (index > 0 && this.#ranges[index - 1]![1] >= number) index--
    return index
  }
}
