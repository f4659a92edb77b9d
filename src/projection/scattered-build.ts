import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../message/clock.ts'
import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Work } from '../processing/processor.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CollectionSpec } from '../storage/document-port.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { EventRow } from './event-row.ts'
import { fromRow, toRow } from './event-row.ts'
import { encodeDocument } from './fold-worker.ts'
import { hashOf } from './key-filter.ts'
import { mergeSorted } from './merge-sorted.ts'
import type { AnyProjection } from './projection.ts'
import { foldOne, keysOf } from './projection.ts'
import type { SpillOptions } from './spill-files.ts'
import { SpillFiles } from './spill-files.ts'

/** So many that the documents of one of them fit into memory, also where there are tens of millions. */
const partitions = 256
/** How often it is made sure that what was put aside outlives the process. */
const saveEveryMs = 1_000
const documentsPerCommit = 5_000

/** A document that was made before events were put aside. */
type DocumentRow = readonly [key: string, document: unknown]

export interface ScatteredBuildParts {
  readonly projection: AnyProjection
  readonly collection: CollectionSpec
  readonly store: EventStore
  readonly lease: Lease
  readonly logId: string
}

/**
 * Builds documents whose events are scattered over the log, so that few of those in memory are met again before they would have to be written: the
 * events are put aside by the hash of their key, then folded one partition after another, and each document is written once. The checkpoint stays
 * where it is until all are: what is in the collection before counts for nothing.
 */
export class ScatteredBuild {
  readonly #parts: ScatteredBuildParts
  readonly #files: SpillFiles
  #position: number
  #savedAtMs = 0

  /** Goes on with what an earlier process of this machine has put aside. */
  static resume(parts: ScatteredBuildParts): ScatteredBuild | undefined {
    const files = SpillFiles.resume(optionsOf(parts))
    return files && new ScatteredBuild(parts, files)
  }

  /** Begins with documents that hold everything up to `position`. */
  static begin(parts: ScatteredBuildParts, documents: readonly DocumentWrite[], position: number): ScatteredBuild {
    const files = SpillFiles.begin(optionsOf(parts))
    for (const { key, document } of documents)
      if (document !== null) files.add(partitionOf(key), [key, JSON.parse(document)] satisfies DocumentRow)
    files.save(position)
    return new ScatteredBuild(parts, files)
  }

  private constructor(parts: ScatteredBuildParts, files: SpillFiles) {
    this.#parts = parts
    this.#files = files
    this.#position = files.position
  }

  /** Everything up to here has been put aside. */
  get position(): number {
    return this.#position
  }

  putAside(events: readonly RecordedEvent[]): Work {
    const { projection } = this.#parts
    for (const stored of events) {
      if (stored.position <= this.#position) continue
      try {
        const keys = keysOf(projection, decode(projection, stored))
        const row = toRow(stored)
        for (const partition of new Set(keys.map(partitionOf))) this.#files.add(partition, row)
      } catch (error) {
        const through = this.#position > 0 ? this.#position : undefined
        return { through, isHeldBack: true, failure: { event: stored, error } }
      }
      this.#position = stored.position
    }
    if (this.#clock.now() - this.#savedAtMs >= saveEveryMs) this.#save()
    return { through: this.#position, isHeldBack: true }
  }

  /**
   * Folds what was put aside, then writes all documents in the order of their keys, which is the order of the collection's index. False when it was
   * interrupted by `signal`: it is then done again from the beginning.
   */
  async complete(signal: AbortSignal): Promise<boolean> {
    this.#save()
    const sorted = this.#files.beside()
    try {
      for (let partition = 0; partition < partitions; partition++) {
        if (signal.aborted) return false
        for (const row of this.#fold(partition).toSorted(byKey)) sorted.add(partition, row)
        await nextTurn()
      }
      let rows: DocumentRow[] = []
      for (const row of mergeSorted<DocumentRow>(range(partitions).map((partition) => rowsOf(sorted, partition)))) {
        if (rows.push(row) < documentsPerCommit) continue
        if (signal.aborted) return false
        await this.#write(rows)
        rows = []
      }
      if (rows.length > 0) await this.#write(rows)
    } finally {
      sorted.remove()
    }
    this.#files.remove()
    return true
  }

  #save(): void {
    this.#files.save(this.#position)
    this.#savedAtMs = this.#clock.now()
  }

  get #clock(): Clock {
    return this.#parts.store.environment.clock
  }

  close(): void {
    this.#files.close()
  }

  /** The documents of a partition. Those that were removed stand in it as null. */
  #fold(partition: number): readonly DocumentRow[] {
    const { projection } = this.#parts
    const documents = new Map<string, unknown>()
    for (const rows of this.#files.read(partition)) {
      for (const row of rows as readonly (DocumentRow | EventRow)[]) {
        if (row.length === 2) {
          documents.set(row[0], row[1])
          continue
        }
        const event = decode(projection, fromRow(row))
        for (const key of keysOf(projection, event))
          if (partitionOf(key) === partition) documents.set(key, foldOne(projection, key, documents.get(key) ?? null, event))
      }
    }
    return [...documents]
  }

  /** With the checkpoint where it is: proof that the lease is still ours. */
  async #write(rows: readonly DocumentRow[]): Promise<void> {
    const { projection, collection, store, lease } = this.#parts
    await store.commit({
      appends: [],
      // A document that was removed is removed, since an earlier attempt may have written it.
      documents: rows.map(([key, document]) => ({ collection: collection.id, ...encodeDocument(projection, collection, key, document) })),
      checkpoint: { processor: lease.processor, epoch: lease.epoch, position: lease.position },
    })
  }
}

function* rowsOf(files: SpillFiles, partition: number): Generator<DocumentRow> {
  for (const rows of files.read(partition)) yield* rows as readonly DocumentRow[]
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => index)
}

function byKey([a]: DocumentRow, [b]: DocumentRow): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function optionsOf({ collection, lease, logId }: ScatteredBuildParts): SpillOptions {
  return { name: `${logId} ${collection.id}`, epoch: lease.epoch, partitions }
}

function partitionOf(key: string): number {
  return hashOf(key) % partitions
}

function decode(projection: AnyProjection, event: RecordedEvent): RecordedEvent {
  return decodeEvent(projection.events, event, `the projection ${projection.name}`)
}
