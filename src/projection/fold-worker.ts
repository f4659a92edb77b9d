import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Work, Worker } from '../processing/processor.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CollectionSpec, DocumentStore, LoadedDocument } from '../storage/document-port.ts'
import type { DocumentWrite, WriteSet } from '../storage/write-set.ts'
import { encodeField, wordsOf } from './field.ts'
import { KeyFilter } from './key-filter.ts'
import { withoutVersion } from './versioned.ts'
import type { AnyProjection } from './projection.ts'
import { foldOne, keysOf } from './projection.ts'

/** Documents remembered between pages: so many, or as many as make about so many bytes. Twice, since they are forgotten by halves. */
const rememberedDocuments = 50_000
const rememberedBytes = 32 * 1024 * 1024
/** Documents held back while a read model is being built: so many, or as many as make about so many bytes. */
const heldDocuments = 40_000
const heldBytes = 16 * 1024 * 1024

/** How a collection is filled. */
export interface FoldOptions {
  /**
   * True while nobody reads the collection: documents are then held back over several pages, since each is written once however often it changed
   * meanwhile. What is lost when the process ends is folded again from the last checkpoint.
   */
  readonly isBeingBuilt?: () => boolean
  readonly whenCaughtUp?: (position: number) => Promise<void>
}

/**
 * Folds events into the documents of one collection: a page is folded in memory and written with one upsert a key. Nobody else writes the collection while
 * the lease is held, so that documents need not be read again.
 */
export class FoldWorker implements Worker {
  readonly types: readonly string[]
  readonly #projection: AnyProjection
  readonly #collection: CollectionSpec
  readonly #documents: DocumentStore
  readonly #options: FoldOptions
  /** Changed and not yet given to be written; null is to be removed. */
  #changed = new Map<string, unknown>()
  /** The newer and the older half of what is remembered; null stands for a document that is not there. */
  #recent = new Map<string, unknown>()
  #older = new Map<string, unknown>()
  /** What can be in the collection, where that is known: most documents are new, and need not be looked for. */
  #written: KeyFilter | undefined
  /** Of a document as JSON, as the last page had it. */
  #typicalBytes = 1

  constructor(projection: AnyProjection, collection: CollectionSpec, documents: DocumentStore, options: FoldOptions = {}) {
    this.types = Object.keys(projection.events)
    this.#projection = projection
    this.#collection = collection
    this.#documents = documents
    this.#options = options
  }

  /** With a lease at the beginning of the log the collection is known to be empty; else nothing is known of it. */
  begin(lease?: Lease): void {
    this.#written = lease?.position === 0 ? new KeyFilter() : undefined
    this.#changed.clear()
    this.#recent.clear()
    this.#older.clear()
  }

  /** How many documents have changed since the last ones were given to be written. */
  get held(): number {
    return this.#changed.size
  }

  async caughtUp(position: number): Promise<void> {
    await this.#options.whenCaughtUp?.(position)
  }

  async process(stored: readonly RecordedEvent[]): Promise<Work> {
    const { events, keys, failure: unreadable } = this.#decode(stored)
    await this.#remember(keys)
    let through: number | undefined
    let failure = unreadable
    for (const [index, event] of events.entries()) {
      try {
        // All documents of an event change, or none: what an event did before one of its folds threw must not stay.
        const changed = keys[index]!.map((key) => [key, foldOne(this.#projection, key, this.#recall(key), event)] as const)
        for (const [key, document] of changed) this.#changed.set(key, document)
        through = event.position
      } catch (error) {
        failure = { event, error }
        break
      }
    }
    // What earlier pages have left waits on when the first event of this one fails.
    if (failure) return through === undefined ? { through, failure } : { through, effects: this.heldBack(), failure }
    if (this.#options.isBeingBuilt?.() && this.#mayHoldBack(keys)) return { through, isHeldBack: true }
    return { through, effects: this.heldBack() }
  }

  /** What is to be written for all that was processed so far. */
  heldBack(): Omit<WriteSet, 'checkpoint'> {
    const documents: DocumentWrite[] = []
    for (const [key, document] of this.#changed) {
      documents.push({ collection: this.#collection.id, ...encodeDocument(this.#projection, this.#collection, key, document) })
      this.#recent.set(key, document)
      this.#written?.add(key)
    }
    this.#changed.clear()
    return { appends: [], documents }
  }

  #mayHoldBack(keys: readonly (readonly string[])[]): boolean {
    const samples = keys.slice(0, 8).map(([key]) => JSON.stringify(this.#changed.get(key ?? '') ?? null).length)
    this.#typicalBytes = Math.max(1, ...samples)
    return this.#changed.size < Math.min(heldDocuments, heldBytes / this.#typicalBytes)
  }

  #decode(stored: readonly RecordedEvent[]): {
    readonly events: readonly RecordedEvent[]
    readonly keys: readonly (readonly string[])[]
    readonly failure?: { readonly event: RecordedEvent; readonly error: unknown }
  } {
    const events: RecordedEvent[] = []
    const keys: (readonly string[])[] = []
    for (const event of stored) {
      try {
        const decoded = decodeEvent(this.#projection.events, event, `the projection ${this.#projection.name}`)
        keys.push(keysOf(this.#projection, decoded))
        events.push(decoded)
      } catch (error) {
        return { events, keys, failure: { event, error } }
      }
    }
    return { events, keys }
  }

  /** Reads the documents that are not remembered, all at once. */
  async #remember(keys: readonly (readonly string[])[]): Promise<void> {
    if (this.#recent.size > Math.min(rememberedDocuments, rememberedBytes / this.#typicalBytes)) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    const missing = new Set<string>()
    for (const some of keys)
      for (const key of some)
        if (!this.#isKnown(key))
          if (this.#written?.mayHave(key) ?? true) missing.add(key)
          else this.#recent.set(key, null)
    if (missing.size === 0) return
    const found = await this.#documents.get(this.#collection.id, [...missing])
    for (const key of missing) {
      const text = found.get(key)
      this.#recent.set(key, text === undefined ? null : JSON.parse(text))
    }
  }

  #isKnown(key: string): boolean {
    return this.#changed.has(key) || this.#recent.has(key) || this.#older.has(key)
  }

  #recall(key: string): unknown {
    if (this.#changed.has(key)) return this.#changed.get(key)
    return this.#recent.has(key) ? this.#recent.get(key) : this.#older.get(key)
  }
}

/** The document as it is written, with what can be found and searched in it, in the collection as it was made. */
export function encodeDocument(
  projection: AnyProjection,
  collection: CollectionSpec,
  key: string,
  document: unknown,
): Omit<DocumentWrite, 'collection'> {
  if (document !== null) return encodeExisting(projection, collection, key, document)
  return { key, document: null, fields: collection.indexed.map(() => ''), words: null }
}

export function encodeExisting(projection: AnyProjection, collection: CollectionSpec, key: string, document: unknown): LoadedDocument {
  const values = (projection.inline ? withoutVersion(document) : document) as Readonly<Record<string, unknown>>
  return {
    key,
    document: JSON.stringify(document),
    fields: collection.indexed.map((field) => encodeField(values[field])),
    words: collection.searchable ? wordsOf(...projection.searched.map((field) => values[field])).join(' ') : null,
  }
}
