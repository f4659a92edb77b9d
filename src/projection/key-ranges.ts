/** Divides keys into ranges that hold about as many each, judged by some of the keys. */
export class KeyRanges {
  /** Where each range but the first begins. */
  readonly #bounds: readonly string[]

  constructor(sample: Iterable<string>, count: number) {
    const keys = [...sample].toSorted(compareKeys)
    const bounds = Array.from({ length: count - 1 }, (_, index) => keys[Math.floor(((index + 1) * keys.length) / count)])
    this.#bounds = [...new Set(bounds.filter((key) => key !== undefined))]
  }

  /** The number of the key's range, from 0. Greater keys are never in a range before. */
  of(key: string): number {
    let from = 0
    let to = this.#bounds.length
    while (from < to) {
      const middle = (from + to) >>> 1
      if (this.#bounds[middle]! <= key) from = middle + 1
      else to = middle
    }
    return from
  }
}

/** As `<` does, not as a locale would. */
export function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
