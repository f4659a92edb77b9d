import type { CheckpointWriter, Suspect } from './checkpoint-writer.ts'

/** Says on disk first what is tried, so that it is known should the process not survive it. */
export class Announcements {
  readonly #suspects = new Set<Suspect>()
  #writer: CheckpointWriter | undefined

  get suspects(): readonly Suspect[] {
    return [...this.#suspects]
  }

  writeWith(writer: CheckpointWriter): void {
    this.#writer = writer
  }

  /** Makes the attempt, unless nothing can be written any more. */
  async during(suspect: Suspect, attempt: () => Promise<void>): Promise<void> {
    this.#suspects.add(suspect)
    try {
      if (await this.#writer?.flush()) await attempt()
    } finally {
      this.#suspects.delete(suspect)
    }
  }
}
