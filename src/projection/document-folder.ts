import type { RecordedEvent } from '../message/event.ts'
import type { Work } from '../processing/page-runner.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CollectionSpec, DocumentStore, LoadedDocument } from '../storage/document-port.ts'
import type { WriteSet } from '../storage/write-set.ts'
import type { BuildLoad } from './build-writer.ts'
import { encodeDocument, encodeExisting } from './encode-document.ts'
import { KeyFilter } from './key-filter.ts'
import type { AnyProjection } from './projection.ts'
import { foldOne, keysOf } from './projection.ts'

/** Documents remembered between pages: so many, or as many as make about so many bytes. Twice, since they are forgotten by halves. */
const rememberedDocuments = 15_000
const rememberedBytes = 8 * 1024 * 1024
/** Documents held back while a read model is being built: so many, or as many as make about so many bytes. */
const heldDocuments = 15_000
const heldBytes = 8 * 1024 * 1024

/** One document in memory, shared by all events that change it: it is looked up once an event. */
interface Entry {
  readonly key: string
  /** As the last event left it; null when there is none. */
  document: unknown
  /** Since it was last given to be written. */
  isChanged: boolean
  /** In the collection, or given to be written. */
  isStored: boolean
}

/** Events that could be decoded, and the documents that they change, one behind the other. */
interface Decoded {
  readonly events: readonly RecordedEvent[]
  readonly entries: readonly Entry[]
  /** Where among `entries` those of each event end. */
  readonly ends: readonly number[]
  readonly failure?: NonNullable<Work['failure']>
}

/**
 * Folds events into the documents of one collection, which nobody else writes meanwhile, so that documents need not be read again. What changed is given
 * to be written once, however often it changed: `take` for a load, `effects` for a write set.
 */
export class DocumentFolder {
  readonly #projection: AnyProjection
  readonly #collection: CollectionSpec
  readonly #documents: DocumentStore
  /** For messages. */
  readonly #reader: string
  #changed: Entry[] = []
  /** The newer and the older half of what is remembered. */
  #recent = new Map<string, Entry>()
  #older = new Map<string, Entry>()
  /** What can be in the collection, where that is known: most documents are new, and need not be looked for. */
  #written: KeyFilter | undefined
  /** Of a document as JSON, as the last page had it. */
  #typicalBytes = 1

  constructor(projection: AnyProjection, collection: CollectionSpec, documents: DocumentStore) {
    this.#projection = projection
    this.#collection = collection
    this.#documents = documents
    this.#reader = `the projection ${projection.name}`
  }

  /** Forgets everything. Of a collection that is empty it is known that no document need be looked for. */
  begin({ isEmpty }: { readonly isEmpty: boolean }): void {
    this.#written = isEmpty ? new KeyFilter() : undefined
    this.#changed = []
    this.#recent.clear()
    this.#older.clear()
  }

  /** How many documents have changed since the last ones were given to be written. */
  get held(): number {
    return this.#changed.length
  }

  /** There is no room for more documents that are not written. */
  get isFull(): boolean {
    return this.#changed.length >= Math.min(heldDocuments, heldBytes / this.#typicalBytes)
  }

  /** Folds the events as far as it gets. `whenWritten` is awaited before anything is read: what was taken may not be in the collection yet. */
  async fold(stored: readonly RecordedEvent[], whenWritten?: () => Promise<void>): Promise<Pick<Work, 'through' | 'failure'>> {
    const { events, entries, ends, failure } = await this.#decode(stored, whenWritten)
    let through: number | undefined
    for (let index = 0, next = 0; index < events.length; index++) {
      const event = events[index]!
      const end = ends[index]!
      try {
        // All documents of an event change, or none: what an event did before one of its folds threw must not stay.
        if (end === next + 1) this.#change(entries[next]!, this.#foldInto(entries[next]!, event))
        else {
          const changing = entries.slice(next, end)
          const documents = changing.map((entry) => this.#foldInto(entry, event))
          for (const [place, entry] of changing.entries()) this.#change(entry, documents[place])
        }
      } catch (error) {
        return { through, failure: { event, error } }
      }
      next = end
      through = event.position
    }
    this.#typicalBytes = Math.max(1, ...entries.slice(0, 8).map(({ document }) => JSON.stringify(document ?? null).length))
    return failure ? { through, failure } : { through }
  }

  /** What has changed, as a write set. */
  effects(): Omit<WriteSet, 'checkpoint'> {
    const collection = this.#collection.id
    const encode = ({ key, document }: Entry) => ({
      collection,
      ...encodeDocument(this.#projection, this.#collection, key, document),
    })
    return { appends: [], documents: this.#give().map(encode) }
  }

  /** What has changed, as a load. */
  take(): Omit<BuildLoad, 'position'> {
    const replaced: string[] = []
    const documents: LoadedDocument[] = []
    for (const { key, document, isStored } of this.#changed) {
      if (isStored) replaced.push(key)
      if (document !== null) documents.push(encodeExisting(this.#projection, this.#collection, key, document))
    }
    this.#give()
    return { documents, replaced }
  }

  /** What has changed, to be folded on by somebody else. */
  *surrender(): Generator<readonly [key: string, document: unknown]> {
    for (const { key, document } of this.#give()) if (document !== null) yield [key, document]
  }

  #give(): readonly Entry[] {
    const given = this.#changed
    this.#changed = []
    for (const entry of given) {
      entry.isChanged = false
      entry.isStored = entry.document !== null
      this.#written?.add(entry.key)
    }
    return given
  }

  #foldInto({ key, document }: Entry, event: RecordedEvent): unknown {
    return foldOne(this.#projection, key, document, event)
  }

  #change(entry: Entry, document: unknown): void {
    entry.document = document
    if (entry.isChanged) return
    entry.isChanged = true
    this.#changed.push(entry)
  }

  /** Documents that are not remembered are read, all at once. */
  async #decode(stored: readonly RecordedEvent[], whenWritten?: () => Promise<void>): Promise<Decoded> {
    if (this.#recent.size > Math.min(rememberedDocuments, rememberedBytes / this.#typicalBytes)) this.#forget()
    const events: RecordedEvent[] = []
    const entries: Entry[] = []
    const ends: number[] = []
    const missing = new Map<string, Entry>()
    let failure: Decoded['failure']
    for (const event of stored) {
      try {
        const decoded = decodeEvent(this.#projection.events, event, this.#reader)
        for (const key of keysOf(this.#projection, decoded)) entries.push(this.#recall(key) ?? this.#begin(key, missing))
        events.push(decoded)
        ends.push(entries.length)
      } catch (error) {
        failure = { event, error }
        break
      }
    }
    if (missing.size > 0) await this.#read(missing, whenWritten)
    return failure ? { events, entries, ends, failure } : { events, entries, ends }
  }

  async #read(missing: ReadonlyMap<string, Entry>, whenWritten?: () => Promise<void>): Promise<void> {
    await whenWritten?.()
    const found = await this.#documents.get(this.#collection.id, [...missing.keys()])
    for (const [key, entry] of missing) {
      const text = found.get(key)
      if (text !== undefined) Object.assign(entry, { document: JSON.parse(text) as unknown, isStored: true })
      this.#recent.set(key, entry)
    }
  }

  #recall(key: string): Entry | undefined {
    const recent = this.#recent.get(key)
    if (recent) return recent
    const older = this.#older.get(key)
    if (older) this.#recent.set(key, older)
    return older
  }

  #begin(key: string, missing: Map<string, Entry>): Entry {
    const known = missing.get(key)
    if (known) return known
    const entry: Entry = { key, document: null, isChanged: false, isStored: false }
    if (this.#written?.mayHave(key) ?? true) missing.set(key, entry)
    else this.#recent.set(key, entry)
    return entry
  }

  /** The older half goes, but for what is not written yet. */
  #forget(): void {
    const kept = new Map<string, Entry>()
    for (const [key, entry] of this.#older) if (entry.isChanged) kept.set(key, entry)
    this.#older = this.#recent
    this.#recent = kept
  }
}
