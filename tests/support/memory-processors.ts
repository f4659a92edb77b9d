import type { ProcessorInfo, ProcessorStore } from '../../src/storage/port.ts'
import type { CheckpointMove } from '../../src/storage/write-set.ts'

/** Runs a call of a driver, unless the driver is closed. */
export type Opened = <T>(work: () => T) => Promise<T>

interface Processor {
  position: number
  epoch: number
  owner: string | undefined
  expiresAtMs: number
  failure: string | undefined
  movedAtMs: number
  state: string | undefined
}

export class MemoryProcessors {
  readonly #processors = new Map<string, Processor>()
  /** Never goes back, so that an epoch is not given twice, whatever is removed in between. */
  #lastEpoch = 0

  epochOf(processor: string): number {
    return this.#processors.get(processor)?.epoch ?? 0
  }

  positionOf(processor: string): number | undefined {
    return this.#processors.get(processor)?.position
  }

  mayMove({ processor, epoch, position }: CheckpointMove): boolean {
    const found = this.#processors.get(processor)
    return found?.epoch === epoch && found.position <= position
  }

  move({ processor, position, state }: CheckpointMove): void {
    const found = this.#processors.get(processor)!
    Object.assign(found, { position, state, ...(position > found.position && { movedAtMs: Date.now() }) })
  }

  remove(processor: string): void {
    this.#processors.delete(processor)
  }

  port(opened: Opened): ProcessorStore {
    return {
      claim: ({ processor, owner, ttlMs, startAt, takesOver = false }) =>
        opened(() => {
          const nowMs = Date.now()
          const found = this.#processors.get(processor)
          const holder = found?.owner === owner ? undefined : found?.owner
          const expiresInMs = (found?.expiresAtMs ?? 0) - nowMs
          if (!takesOver && holder !== undefined && expiresInMs > 0) return { claimed: false, owner: holder, expiresInMs }
          const abandoned = holder !== undefined && expiresInMs <= 0
          const epoch = ++this.#lastEpoch
          const lease = { epoch, owner, expiresAtMs: nowMs + ttlMs }
          const claimed = found
            ? Object.assign(found, lease)
            : { ...lease, position: startAt, failure: undefined, movedAtMs: nowMs, state: undefined }
          this.#processors.set(processor, claimed)
          return { claimed: true, epoch, position: claimed.position, state: claimed.state, abandoned }
        }),
      renew: ({ owner, ttlMs, held }) =>
        opened(() =>
          held.flatMap(({ processor, epoch }) => {
            const found = this.#processors.get(processor)
            if (found?.owner !== owner || found.epoch !== epoch) return []
            found.expiresAtMs = Date.now() + ttlMs
            return [processor]
          }),
        ),
      release: ({ owner, processors }) =>
        opened(() => {
          for (const processor of processors) {
            const found = this.#processors.get(processor)
            if (found?.owner === owner) found.owner = undefined
          }
        }),
      report: ({ processor, epoch, failure }) =>
        opened(() => {
          const found = this.#processors.get(processor)
          if (found?.epoch === epoch) found.failure = failure ?? undefined
        }),
      reset: (...resets) =>
        opened(() => {
          if (!resets.every(({ position }) => Number.isSafeInteger(position))) throw new Error('a position is a whole number')
          for (const { processor, position } of resets) {
            const found = this.#processors.get(processor)
            const anew = { position, state: undefined, owner: undefined, failure: undefined, movedAtMs: Date.now() }
            if (found) Object.assign(found, { ...anew, epoch: ++this.#lastEpoch })
          }
        }),
      remove: (processor) => opened(() => this.remove(processor)),
      list: () =>
        opened(() =>
          [...this.#processors].map(([processor, { position, epoch, owner, expiresAtMs, failure, movedAtMs }]): ProcessorInfo => {
            return { processor, position, epoch, owner: expiresAtMs > Date.now() ? owner : undefined, failure, movedAtMs }
          }),
        ),
    }
  }
}
