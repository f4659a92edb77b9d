import type { MessageIdentity } from '../storage/write-set.ts'

/** A map of messages. Most that are at hand have one source, and a text made of source and id for each would cost more than the look-ups. */
export class ByIdentity<T> {
  readonly #sources = new Map<string, Map<string, T>>()

  get({ source, id }: MessageIdentity): T | undefined {
    return this.#sources.get(source)?.get(id)
  }

  set({ source, id }: MessageIdentity, value: T): void {
    const ids = this.#sources.get(source)
    if (ids) ids.set(id, value)
    else this.#sources.set(source, new Map([[id, value]]))
  }

  /** Gives and forgets it. */
  take({ source, id }: MessageIdentity): T | undefined {
    const ids = this.#sources.get(source)
    const value = ids?.get(id)
    ids?.delete(id)
    // Sources come and go, in a topic of many producers.
    if (ids?.size === 0) this.#sources.delete(source)
    return value
  }
}
