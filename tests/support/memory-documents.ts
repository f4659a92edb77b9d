import { findIn } from '../../src/conformance/storage/find-model.ts'
import type { StoredDocument } from '../../src/conformance/storage/find-model.ts'
import type { CollectionInfo, DocumentStore } from '../../src/storage/document-port.ts'
import type { DocumentWrite } from '../../src/storage/write-set.ts'
import type { MemoryProcessors, Opened } from './memory-processors.ts'

interface Collection {
  info: CollectionInfo
  readonly documents: Map<string, StoredDocument>
}

export class MemoryDocuments {
  readonly #collections = new Map<string, Collection>()
  readonly #processors: MemoryProcessors

  constructor(processors: MemoryProcessors) {
    this.#processors = processors
  }

  write({ collection, key, document, fields, words }: DocumentWrite): void {
    const { documents } = this.#collections.get(collection)!
    if (document === null) documents.delete(key)
    else documents.set(key, { key, document, fields, words })
  }

  port(opened: Opened): DocumentStore {
    const documentsOf = (collection: string): Map<string, StoredDocument> => this.#collections.get(collection)?.documents ?? new Map()
    return {
      create: (spec) =>
        opened(() => {
          if (this.#collections.has(spec.id)) return
          this.#collections.set(spec.id, { info: { ...spec, state: 'building', changedAtMs: Date.now() }, documents: new Map() })
        }),
      index: () => opened(() => undefined),
      promote: ({ collection, processor, notBehind }) =>
        opened(() => {
          const other = notBehind === undefined ? undefined : this.#processors.positionOf(notBehind)
          if (other !== undefined && (this.#processors.positionOf(processor) ?? -1) < other) return false
          const promoted = this.#collections.get(collection)!
          for (const one of this.#collections.values())
            if (one !== promoted && one.info.projection === promoted.info.projection && one.info.state === 'live') change(one, 'retired')
          change(promoted, 'live')
          return true
        }),
      drop: (collection, processor) =>
        opened(() => {
          this.#collections.delete(collection)
          this.#processors.remove(processor)
        }),
      list: (projection) =>
        opened(() => {
          const all = [...this.#collections.values()].map(({ info }) => info)
          return projection === undefined ? all : all.filter((info) => info.projection === projection)
        }),
      get: (collection, keys) =>
        opened(() => {
          const documents = documentsOf(collection)
          return new Map(keys.flatMap((key): [string, string][] => (documents.has(key) ? [[key, documents.get(key)!.document]] : [])))
        }),
      find: (collection, find) => opened(() => findIn([...documentsOf(collection).values()], find)),
      load: ({ collection, documents, replaced, checkpoint }) =>
        opened(() => {
          if (!this.#processors.mayMove(checkpoint)) return false
          const stored = this.#collections.get(collection)!.documents
          const keys = new Set(documents.map(({ key }) => key))
          if (keys.size < documents.length || [...keys].some((key) => stored.has(key) && !replaced.includes(key)))
            throw new Error(`a document is in ${collection} already`)
          for (const key of replaced) stored.delete(key)
          for (const document of documents) stored.set(document.key, document)
          this.#processors.move(checkpoint)
          return true
        }),
      clear: (collection, checkpoint) =>
        opened(() => {
          if (!this.#processors.mayMove(checkpoint)) return false
          documentsOf(collection).clear()
          this.#processors.move(checkpoint)
          return true
        }),
      count: (collection) => opened(() => documentsOf(collection).size),
    }
  }
}

function change(collection: Collection, state: CollectionInfo['state']): void {
  if (collection.info.state !== state) collection.info = { ...collection.info, state, changedAtMs: Date.now() }
}
