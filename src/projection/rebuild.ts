import type { Environment } from '../observability/environment.ts'
import { fits } from './generation.ts'
import type { ReadModel } from './read-model.ts'

export interface RebuildProgress {
  /** How much of the log is in the new documents, and how long the log is. */
  readonly position: number
  readonly head: number
  /** Since the last report. */
  readonly eventsPerSecond: number
  /** Undefined until the speed is known. */
  readonly etaMs: number | undefined
}

export interface RebuildOptions {
  readonly onProgress?: (progress: RebuildProgress) => void
  /** Default: 500. */
  readonly progressEveryMs?: number
  readonly signal?: AbortSignal
}

/**
 * Builds the documents anew beside those that are read, and resolves when they have taken over. One that was begun and not finished, by whomever, is
 * gone on with. When `signal` is aborted the new generation stays, to be gone on with.
 */
export async function rebuild(readModel: ReadModel, { clock }: Environment, options: RebuildOptions = {}): Promise<void> {
  const { onProgress, progressEveryMs = 500, signal } = options
  await readModel.keepUp()
  const { projection } = readModel
  const begun = readModel.generations.find(
    (generation) => generation.state === 'building' && generation.version === projection.version && fits(projection, generation),
  )
  const { id } = begun ?? (await readModel.begin())
  let before = { atMs: clock.now(), position: 0 }
  while (readModel.generations.find((generation) => generation.id === id)?.state === 'building') {
    signal?.throwIfAborted()
    const status = readModel.statuses.find((candidate) => candidate.generation === id)
    if (status && onProgress) {
      const { lagEvents = 0 } = status
      const nowMs = clock.now()
      const elapsedMs = nowMs - before.atMs
      const eventsPerSecond = elapsedMs > 0 ? Math.round(((status.position - before.position) * 1_000) / elapsedMs) : 0
      const etaMs = eventsPerSecond > 0 ? Math.round((lagEvents * 1_000) / eventsPerSecond) : undefined
      onProgress({ position: status.position, head: status.position + lagEvents, eventsPerSecond, etaMs })
      before = { atMs: nowMs, position: status.position }
    }
    await readModel.synced(progressEveryMs, signal)
  }
}
