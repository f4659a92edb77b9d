import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { KafkaPartition } from './partition.ts'
import type { PartitionSource } from './partition.ts'

interface Run {
  readonly revoke: AbortController
  readonly finished: Promise<void>
}

/** A run that went well for so long failed for a new reason. */
const longRunMs = 30_000

/** One run for each partition that this process consumes: begun when the partition comes, told to end when it goes, begun anew when it fails. */
export class PartitionRuns {
  readonly #source: PartitionSource
  readonly #runs = new Map<number, Run>()
  #owned: ReadonlySet<number> = new Set()
  #closed = false

  constructor(source: PartitionSource) {
    this.#source = source
  }

  /** These are the process's now; runs of others are told to end. */
  assign(partitions: ReadonlySet<number>): void {
    if (this.#closed) return
    this.#owned = partitions
    for (const [partition, { revoke }] of this.#runs) if (!partitions.has(partition)) revoke.abort()
    for (const partition of partitions) this.#begin(partition)
  }

  /** Ends all runs but these. Resolves when they have ended, at the latest after `timeoutMs`. */
  async release(kept: ReadonlySet<number>, timeoutMs: number): Promise<void> {
    this.#owned = new Set([...this.#owned].filter((partition) => kept.has(partition)))
    const ending = [...this.#runs].filter(([partition]) => !kept.has(partition))
    if (ending.length === 0) return
    for (const [, { revoke }] of ending) revoke.abort()
    const inTime = new AbortController()
    const { clock, log } = this.#source.library.environment
    const ended = Promise.all(ending.map(([, { finished }]) => finished)).then(() => true)
    const late = clock.sleep(timeoutMs, inTime.signal).then(() => false)
    if (!(await Promise.race([ended, late]))) {
      const { topic, group } = this.#source.options
      log('warn', `a partition that was taken away was not given up within ${timeoutMs} ms; others may have it now`, { topic, group })
    }
    inTime.abort()
  }

  /** Ends all runs and waits for them. */
  async close(): Promise<void> {
    this.#closed = true
    this.#owned = new Set()
    for (const { revoke } of this.#runs.values()) revoke.abort()
    await Promise.all([...this.#runs.values()].map(({ finished }) => finished))
  }

  #begin(partition: number): void {
    // One that has not ended yet goes on being asked to; when it has, the partition is begun anew.
    if (this.#runs.has(partition)) return
    const revoke = new AbortController()
    const finished = this.#repeat(partition, revoke.signal).finally(() => {
      this.#runs.delete(partition)
      if (revoke.signal.aborted && this.#owned.has(partition)) this.#begin(partition)
    })
    this.#runs.set(partition, { revoke, finished })
  }

  async #repeat(number: number, revoked: AbortSignal): Promise<void> {
    const { options, library } = this.#source
    const { clock, random, log } = library.environment
    const partition = new KafkaPartition(this.#source, number, revoked)
    for (let attempt = 0; !revoked.aborted; attempt++) {
      const startedMs = clock.now()
      try {
        return await options.run(partition)
      } catch (error) {
        const { topic, group } = options
        log('warn', 'consuming a partition failed and is tried again', { topic, group, partition: number, error: describeError(error) })
      }
      if (clock.now() - startedMs > longRunMs) attempt = 0
      await clock.sleep(backoffMs(attempt, { firstMs: 200, maxMs: 10_000 }, random), revoked)
    }
  }
}
