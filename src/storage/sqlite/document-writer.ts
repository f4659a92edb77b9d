import type { LoadedDocument } from '../document-port.ts'
import type { DocumentWrite } from '../write-set.ts'
import type { Collection } from './collection.ts'
import { documentsTable, requireCollection } from './collection.ts'
import type { Connection, Statement, Value } from './connection.ts'

interface Writes {
  readonly collection: Collection
  readonly upsert: Statement<never>
  readonly remove: Statement<never>
}

/** Calling a statement costs a third of inserting one row; more rows at once than these save little more. */
const rowsPerInsert = 10

/** Writes documents inside a transaction. Indexes, also that of words, follow by themselves. */
export class DocumentWriter {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** @throws StorageError when a collection does not exist. */
  write(documents: readonly DocumentWrite[]): void {
    const byCollection = new Map<string, Writes>()
    for (const { collection: id, key, document, fields, words } of documents) {
      let writes = byCollection.get(id)
      if (!writes) byCollection.set(id, (writes = this.#prepare(id)))
      if (document === null) writes.remove.run(key)
      else writes.upsert.run(...valuesOf(writes.collection, { key, document, fields, words }))
    }
  }

  /** Inserts documents whose keys are new to the collection, once those of `replaced` are gone. */
  load(id: string, documents: readonly LoadedDocument[], replaced: readonly string[]): void {
    const collection = requireCollection(this.#connection, id)
    const remove = this.#connection.cached<never>(`DELETE FROM ${documentsTable(collection)} WHERE key = ?`)
    for (const key of replaced) remove.run(key)
    const insertMany = this.#connection.cached<never>(insertText(collection, rowsPerInsert))
    const insertOne = this.#connection.cached<never>(insertText(collection))
    const rest = documents.length - (documents.length % rowsPerInsert)
    for (let from = 0; from < rest; from += rowsPerInsert)
      insertMany.run(...documents.slice(from, from + rowsPerInsert).flatMap((document) => valuesOf(collection, document)))
    for (const document of documents.slice(rest)) insertOne.run(...valuesOf(collection, document))
  }

  // Looked up each time, since another process may have dropped the collection; only the statements are kept.
  #prepare(id: string): Writes {
    const collection = requireCollection(this.#connection, id)
    const [, ...changing] = columnsOf(collection)
    return {
      collection,
      upsert: this.#connection.cached(
        `${insertText(collection)} ON CONFLICT (key) DO UPDATE SET ${changing.map((name) => `${name} = excluded.${name}`).join(', ')}`,
      ),
      remove: this.#connection.cached(`DELETE FROM ${documentsTable(collection)} WHERE key = ?`),
    }
  }
}

function columnsOf({ indexed, searchable }: Collection): readonly string[] {
  return ['key', 'document', ...indexed.map((_, field) => `f${field}`), ...(searchable ? ['words'] : [])]
}

/** In the order of `columnsOf`. */
function valuesOf({ searchable }: Collection, { key, document, fields, words }: LoadedDocument): readonly Value[] {
  return searchable ? [key, document, ...fields, words] : [key, document, ...fields]
}

function insertText(collection: Collection, rows = 1): string {
  const columns = columnsOf(collection)
  const row = `(${columns.map(() => '?').join(', ')})`
  return `INSERT INTO ${documentsTable(collection)} (${columns.join(', ')}) VALUES ${Array.from({ length: rows }, () => row).join(', ')}`
}
