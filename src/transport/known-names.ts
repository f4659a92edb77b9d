const mostNames = 1_000

/** The same few names of headers come with every message: what was found out about one is kept. Anybody may write names, so of a thousand at most. */
export class KnownNames<T> {
  readonly #find: (name: string) => T
  readonly #known = new Map<string, T>()

  constructor(find: (name: string) => T) {
    this.#find = find
  }

  get(name: string): T {
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const found = this.#find(name)
    if (this.#known.size < mostNames) this.#known.set(name, found)
    return found
  }
}
