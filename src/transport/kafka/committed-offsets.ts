/** Tells the broker how far the group is, for its figures: one request at a time, each with the last offset of every partition that changed. */
export class CommittedOffsets {
  readonly #commit: (offsets: ReadonlyMap<number, number>) => Promise<void>
  readonly #failed: (error: unknown) => void
  #changed = new Map<number, number>()
  #committing: Promise<void> | undefined

  constructor(commit: (offsets: ReadonlyMap<number, number>) => Promise<void>, failed: (error: unknown) => void) {
    this.#commit = commit
    this.#failed = failed
  }

  /** The offset of the next message. */
  add(partition: number, offset: number): void {
    this.#changed.set(partition, offset)
    this.#committing ??= this.#run()
  }

  /** Where the group begins, which must not hide how far it has come meanwhile. */
  addFirst(partition: number, offset: number): void {
    if (!this.#changed.has(partition)) this.add(partition, offset)
  }

  /** Resolves when everything that was added has been tried. */
  async flush(): Promise<void> {
    await this.#committing
  }

  async #run(): Promise<void> {
    while (this.#changed.size > 0) {
      const offsets = this.#changed
      this.#changed = new Map()
      try {
        await this.#commit(offsets)
      } catch (error) {
        this.#failed(error)
      }
    }
    this.#committing = undefined
  }
}
