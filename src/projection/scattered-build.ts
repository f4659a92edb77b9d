import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Clock } from '../message/clock.ts'
import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Work } from '../processing/page-runner.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CollectionSpec, LoadedDocument } from '../storage/document-port.ts'
import type { BuildWriter } from './build-writer.ts'
import { encodeExisting } from './encode-document.ts'
import type { EventRow } from './event-row.ts'
import { fromRow, toRow } from './event-row.ts'
import { hashOf } from '../message/hash.ts'
import { compareKeys, KeyRanges } from './key-ranges.ts'
import type { AnyProjection } from './projection.ts'
import { foldOne, keysOf } from './projection.ts'
import type { SpillOptions } from './spill-files.ts'
import { SpillFiles } from './spill-files.ts'

/** So many that the documents of one of them fit into memory, also where there are tens of millions. */
const partitions = 256
/** How often it is made sure that what was put aside outlives the process. */
const saveEveryMs = 1_000
const documentsPerLoad = 5_000
const documentsPerTurn = 500

/** A document as it is put aside: one that was made before events were, or that was made of them. */
type DocumentRow = readonly [key: string, document: unknown]

export interface ScatteredBuildParts {
  readonly projection: AnyProjection
  readonly collection: CollectionSpec
  readonly clock: Clock
  readonly writer: BuildWriter
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
  static begin(parts: ScatteredBuildParts, documents: Iterable<DocumentRow>, position: number): ScatteredBuild {
    const files = SpillFiles.begin(optionsOf(parts))
    for (const row of documents) files.add(partitionOf(row[0]), row)
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
        if (keys.length === 1) this.#files.add(partitionOf(keys[0]!), toRow(stored))
        else for (const partition of new Set(keys.map(partitionOf))) this.#files.add(partition, toRow(stored))
      } catch (error) {
        const through = this.#position > 0 ? this.#position : undefined
        return { through, isHeldBack: true, failure: { event: stored, error } }
      }
      this.#position = stored.position
    }
    if (this.#parts.clock.now() - this.#savedAtMs >= saveEveryMs) this.#save()
    return { through: this.#position, isHeldBack: true }
  }

  /**
   * Folds what was put aside, then writes all documents in the order of their keys, which is the order of the collection's index. False when it was
   * interrupted by `signal`: it is then done again from the beginning.
   */
  async complete(signal: AbortSignal): Promise<boolean> {
    this.#save()
    const byRange = this.#files.beside()
    try {
      if (!(await this.#foldAll(byRange, signal)) || !(await this.#load(byRange, signal))) return false
    } finally {
      byRange.remove()
    }
    this.#files.remove()
    return true
  }

  #save(): void {
    this.#files.save(this.#position)
    this.#savedAtMs = this.#parts.clock.now()
  }

  close(): void {
    this.#files.close()
  }

  /** Puts the documents aside by ranges of keys. */
  async #foldAll(byRange: SpillFiles, signal: AbortSignal): Promise<boolean> {
    let ranges: KeyRanges | undefined
    for (let partition = 0; partition < partitions; partition++) {
      const documents = this.#fold(partition)
      // Partitions are as good as random: the keys of the first one tell where all keys lie.
      ranges ??= documents.size > 0 ? new KeyRanges(documents.keys(), partitions) : undefined
      for (const [key, document] of documents) byRange.add(ranges!.of(key), [key, document] satisfies DocumentRow)
      await nextTurn()
      if (signal.aborted) return false
    }
    return true
  }

  #fold(partition: number): ReadonlyMap<string, unknown> {
    const { projection } = this.#parts
    const documents = new Map<string, unknown>()
    for (const rows of this.#files.read(partition)) {
      for (const row of rows as readonly (DocumentRow | EventRow)[]) {
        if (row.length === 2) {
          documents.set(row[0], row[1])
          continue
        }
        const event = decode(projection, fromRow(row))
        for (const key of keysOf(projection, event)) {
          if (partitionOf(key) !== partition) continue
          const document = foldOne(projection, key, documents.get(key) ?? null, event)
          if (document === null) documents.delete(key)
          else documents.set(key, document)
        }
      }
    }
    return documents
  }

  /** Loads the documents, range after range, with the checkpoint where it is. */
  async #load(byRange: SpillFiles, signal: AbortSignal): Promise<boolean> {
    const { projection, collection, writer, lease } = this.#parts
    // An earlier attempt may have come as far as here.
    await writer.clear()
    let documents: LoadedDocument[] = []
    for (let range = 0; range < partitions; range++) {
      const rows = [...byRange.read(range)].flat() as unknown as readonly DocumentRow[]
      for (const [key, document] of rows.toSorted(([a], [b]) => compareKeys(a, b))) {
        documents.push(encodeExisting(projection, collection, key, document))
        // The load that is under way gets its turn.
        if (documents.length % documentsPerTurn === 0) await nextTurn()
        if (documents.length < documentsPerLoad) continue
        await writer.finish()
        if (signal.aborted) return false
        writer.begin({ documents, replaced: [], position: lease.position })
        documents = []
      }
    }
    await writer.finish()
    writer.begin({ documents, replaced: [], position: lease.position })
    await writer.finish()
    return true
  }
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
