import { setImmediate as nextTurn } from 'node:timers/promises'
import type { CollectionInfo, CollectionSpec, DocumentLoad, DocumentStore, EncodedFind, FoundDocument } from '../document-port.ts'
import type { CheckpointMove } from '../write-set.ts'
import {
  clearCollection,
  createCollection,
  createFieldIndex,
  createWordIndex,
  documentsTable,
  dropCollection,
  findCollection,
  listCollections,
  requireCollection,
} from './collection.ts'
import type { Database } from './database.ts'
import { DocumentWriter } from './document-writer.ts'
import { selectDocuments } from './find.ts'
import { fencedBy, moveCheckpoint, removeProcessor } from './processors.ts'

export class DocumentTables implements DocumentStore {
  readonly #database: Database
  readonly #writer: DocumentWriter

  constructor(database: Database) {
    this.#database = database
    this.#writer = new DocumentWriter(database.writer)
  }

  create(spec: CollectionSpec): Promise<void> {
    return this.#database.write(() => createCollection(this.#database.writer, spec))
  }

  /** Each index in a transaction of its own, so that other writers get their turn. The event loop stands still while one is built. */
  async index(id: string): Promise<void> {
    const { writer } = this.#database
    const { indexed } = await this.#database.read(() => requireCollection(this.#database.reader, id))
    for (const field of indexed.keys()) {
      await this.#database.write(() => createFieldIndex(writer, requireCollection(writer, id), field))
      await nextTurn()
    }
    await this.#database.write(() => createWordIndex(writer, requireCollection(writer, id)))
  }

  promote({ collection: id, processor, notBehind }: Parameters<DocumentStore['promote']>[0]): Promise<boolean> {
    const { writer } = this.#database
    return this.#database.write(() => {
      const { projection, number } = requireCollection(writer, id)
      if (notBehind !== undefined && this.#checkpoint(processor) < this.#checkpoint(notBehind)) return false
      const nowMs = Date.now()
      writer
        .cached(
          `UPDATE headwater_collections SET state = 'retired', changed_ms = ? WHERE projection = ? AND state = 'live' AND number <> ?`,
        )
        .run(nowMs, projection, number)
      writer
        .cached(`UPDATE headwater_collections SET state = 'live', changed_ms = ? WHERE number = ? AND state <> 'live'`)
        .run(nowMs, number)
      return true
    })
  }

  drop(id: string, processor: string): Promise<void> {
    const { writer } = this.#database
    return this.#database.write(() => {
      const collection = findCollection(writer, id)
      if (collection) dropCollection(writer, collection)
      removeProcessor(writer, processor)
    })
  }

  list(projection?: string): Promise<readonly CollectionInfo[]> {
    return this.#database.read(() =>
      listCollections(this.#database.reader).filter((collection) => projection === undefined || collection.projection === projection),
    )
  }

  get(id: string, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const { reader } = this.#database
    return this.#database.read(() => {
      const table = documentsTable(requireCollection(reader, id))
      const select = reader.cached<readonly [document: string]>(`SELECT document FROM ${table} WHERE key = ?`)
      const documents = new Map<string, string>()
      for (const key of keys) {
        const row = select.get(key)
        if (row) documents.set(key, row[0])
      }
      return documents
    })
  }

  find(id: string, find: EncodedFind): Promise<readonly FoundDocument[]> {
    const { reader } = this.#database
    return this.#database.read(() => {
      const { text, values } = selectDocuments(requireCollection(reader, id), find)
      const rows = reader.cached<readonly [key: string, document: string, ...sortValues: string[]]>(text).all(...values)
      return rows.map(([key, document, ...sortValues]) => ({ key, document, sortValues }))
    })
  }

  load({ collection, documents, replaced, checkpoint }: DocumentLoad): Promise<boolean> {
    return this.#owned(checkpoint, () => this.#writer.load(collection, documents, replaced))
  }

  clear(id: string, checkpoint: CheckpointMove): Promise<boolean> {
    const { writer } = this.#database
    return this.#owned(checkpoint, () => clearCollection(writer, requireCollection(writer, id)))
  }

  count(id: string): Promise<number> {
    const { reader } = this.#database
    return this.#database.read(() => {
      const table = documentsTable(requireCollection(reader, id))
      return reader.cached<readonly [count: number]>(`SELECT count(*) FROM ${table}`).get()![0]
    })
  }

  /** One transaction, as whoever may move the checkpoint. */
  #owned(checkpoint: CheckpointMove, work: () => void): Promise<boolean> {
    const { writer } = this.#database
    return this.#database.write(() => {
      if (fencedBy(writer, checkpoint) !== undefined) return false
      work()
      moveCheckpoint(writer, checkpoint, Date.now())
      return true
    })
  }

  #checkpoint(processor: string): number {
    const select = this.#database.writer.cached<readonly [position: number]>(
      'SELECT position FROM headwater_processors WHERE processor = ?',
    )
    return select.get(processor)?.[0] ?? 0
  }
}
