import type { RecordedEvent } from '../message/event.ts'
import type { Lease } from '../processing/lease-keeper.ts'
import type { Work, Worker } from '../processing/processor.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CollectionSpec, DocumentStore, LoadedDocument } from '../storage/document-port.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import { encodeField, wordsOf } from './field.ts'
import { withoutVersion } from './versioned.ts'
import type { AnyProjection } from './projection.ts'
import { foldOne, keysOf } from './projection.ts'

/** Documents remembered between pages. Nobody else writes them while the lease is held, so they need not be read again. */
const rememberedDocuments = 20_000

/** Folds events into the documents of one collection: a page is folded in memory and written with one upsert a key. */
export class FoldWorker implements Worker {
  readonly types: readonly string[]
  readonly #projection: AnyProjection
  readonly #collection: CollectionSpec
  readonly #documents: DocumentStore
  readonly #whenCaughtUp: ((position: number) => Promise<void>) | undefined
  /** The newer and the older half of what is remembered; null stands for a document that is not there. */
  #recent = new Map<string, unknown>()
  #older = new Map<string, unknown>()

  constructor(
    projection: AnyProjection,
    collection: CollectionSpec,
    documents: DocumentStore,
    whenCaughtUp?: (position: number) => Promise<void>,
  ) {
    this.types = Object.keys(projection.events)
    this.#projection = projection
    this.#collection = collection
    this.#documents = documents
    this.#whenCaughtUp = whenCaughtUp
  }

  begin(_lease?: Lease): void {
    this.#recent.clear()
    this.#older.clear()
  }

  async caughtUp(position: number): Promise<void> {
    await this.#whenCaughtUp?.(position)
  }

  async process(stored: readonly RecordedEvent[]): Promise<Work> {
    const { events, keys, failure: unreadable } = this.#decode(stored)
    await this.#remember(keys)
    const touched = new Map<string, unknown>()
    let through: number | undefined
    let failure = unreadable
    for (const [index, event] of events.entries()) {
      try {
        // All documents of an event change, or none: what an event did before one of its folds threw must not stay.
        const changed = keys[index]!.map(
          (key) => [key, foldOne(this.#projection, key, touched.has(key) ? touched.get(key) : this.#recall(key), event)] as const,
        )
        for (const [key, document] of changed) touched.set(key, document)
        through = event.position
      } catch (error) {
        failure = { event, error }
        break
      }
    }
    const documents: DocumentWrite[] = []
    for (const [key, document] of touched) {
      documents.push({ collection: this.#collection.id, ...encodeDocument(this.#projection, this.#collection, key, document) })
      this.#recent.set(key, document)
    }
    return { through, effects: { appends: [], documents }, ...(failure && { failure }) }
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
    if (this.#recent.size > rememberedDocuments) {
      this.#older = this.#recent
      this.#recent = new Map()
    }
    const missing = new Set<string>()
    for (const some of keys) for (const key of some) if (!this.#recent.has(key) && !this.#older.has(key)) missing.add(key)
    if (missing.size === 0) return
    const found = await this.#documents.get(this.#collection.id, [...missing])
    for (const key of missing) {
      const text = found.get(key)
      this.#recent.set(key, text === undefined ? null : JSON.parse(text))
    }
  }

  #recall(key: string): unknown {
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
