import type { CheckpointWriter } from './checkpoint-writer.ts'

/** Says on disk first what is tried, so that it is known should the process not survive it. */
export class Announcements {
  readonly #positions = new Set<number>()
  #writer: CheckpointWriter | undefined

  /** Positions of messages that are tried now, or are about to be. */
  get positions(): readonly number[] {
    return [...this.#positions]
  }

  writeWith(writer: CheckpointWriter): void {
    this.#writer = writer
  }

  async during(position: number, attempt: () => Promise<void>): Promise<void> {
    this.#positions.add(position)
    try {
      await this.#writer?.flush()
      await attempt()
    } finally {
      this.#positions.delete(position)
    }
  }
}
