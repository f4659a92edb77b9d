import { describeError } from '../observability/log.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { AnyAggregate } from './aggregate.ts'
import type { Loaded } from './load.ts'

/**
 * Writes snapshots when nobody waits for them: after the command that made one due was answered. One that fails costs only time, so that it is
 * counted and forgotten.
 */
export class SnapshotWriter {
  readonly #store: EventStore
  readonly #pending = new Set<Promise<void>>()

  constructor(store: EventStore) {
    this.#store = store
  }

  /** Writes a snapshot if the aggregate's policy says so, now that `added` events were appended to what was loaded. */
  consider(
    aggregate: AnyAggregate,
    stream: string,
    { version, snapshotVersion }: Loaded<unknown>,
    state: () => unknown,
    added: number,
  ): void {
    const { snapshot } = aggregate
    if (!snapshot || added === 0 || version + added - snapshotVersion < snapshot.every) return
    const writing = this.#write(aggregate.name, stream, snapshot.version, version + added, state)
    this.#pending.add(writing)
    void writing.then(() => this.#pending.delete(writing))
  }

  /** Resolves when all that are under way are written. */
  async settled(): Promise<void> {
    await Promise.all(this.#pending)
  }

  async #write(aggregate: string, stream: string, schemaVersion: number, version: number, state: () => unknown): Promise<void> {
    try {
      await this.#store.commit({ appends: [], snapshots: [{ stream, aggregate, schemaVersion, version, state: JSON.stringify(state()) }] })
    } catch (error) {
      this.#store.environment.metrics.count('headwater_snapshot_failures_total', 1, { aggregate })
      this.#store.environment.log('warn', 'a snapshot could not be written', { aggregate, stream, version, error: describeError(error) })
    }
  }
}
