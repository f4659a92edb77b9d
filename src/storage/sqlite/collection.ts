import { StorageError } from '../errors.ts'
import type { CollectionInfo, CollectionSpec } from '../document-port.ts'
import type { Connection } from './connection.ts'

/** A collection and its tables, which are named by its number: nothing that a user chose becomes part of an SQL text. */
export interface Collection extends CollectionInfo {
  readonly number: number
  readonly hasWordIndex: boolean
}

type Row = readonly [
  number: number,
  id: string,
  projection: string,
  version: number,
  indexed: string,
  searchable: number,
  hasWordIndex: number,
  state: CollectionInfo['state'],
  changedMs: number,
]

const columns = 'number, id, projection, version, indexed, searchable, has_word_index, state, changed_ms'

function toInfo([, id, projection, version, indexed, searchable, , state, changedAtMs]: Row): CollectionInfo {
  return { id, projection, version, indexed: JSON.parse(indexed) as readonly string[], searchable: searchable === 1, state, changedAtMs }
}

export function findCollection(connection: Connection, id: string): Collection | undefined {
  const row = connection.cached<Row>(`SELECT ${columns} FROM headwater_collections WHERE id = ?`).get(id)
  return row && { ...toInfo(row), number: row[0], hasWordIndex: row[6] === 1 }
}

/** @throws StorageError when there is none: it was dropped, or never made. */
export function requireCollection(connection: Connection, id: string): Collection {
  const collection = findCollection(connection, id)
  if (!collection) throw new StorageError(`there is no collection ${id}`)
  return collection
}

export function listCollections(connection: Connection): readonly CollectionInfo[] {
  return connection.cached<Row>(`SELECT ${columns} FROM headwater_collections ORDER BY number`).all().map(toInfo)
}

export function documentsTable({ number }: Collection): string {
  return `headwater_documents_${number}`
}

export function wordsTable({ number }: Collection): string {
  return `headwater_words_${number}`
}

/** Makes the collection with an empty table, unless it is there. Runs in a transaction, as all below. */
export function createCollection(connection: Connection, { id, projection, version, indexed, searchable }: CollectionSpec): void {
  if (findCollection(connection, id)) return
  connection
    .cached(
      `INSERT INTO headwater_collections (id, projection, version, indexed, searchable, has_word_index, state, changed_ms)
       VALUES (?, ?, ?, ?, ?, 0, 'building', ?)`,
    )
    .run(id, projection, version, JSON.stringify(indexed), searchable ? 1 : 0, Date.now())
  const collection = requireCollection(connection, id)
  // The number of a row stays the same for its life, which the index of words relies on.
  connection.execute(`
    CREATE TABLE ${documentsTable(collection)} (
      number INTEGER PRIMARY KEY,
      key TEXT NOT NULL UNIQUE,
      document TEXT NOT NULL
      ${indexed.map((_, field) => `, f${field} TEXT NOT NULL`).join('')}
      ${searchable ? ', words TEXT' : ''}
    ) STRICT`)
}

export function dropCollection(connection: Connection, collection: Collection): void {
  // Dropping a table takes its indexes and triggers with it.
  connection.execute(`DROP TABLE IF EXISTS ${wordsTable(collection)}; DROP TABLE ${documentsTable(collection)}`)
  connection.cached('DELETE FROM headwater_collections WHERE number = ?').run(collection.number)
}

export function createFieldIndex(connection: Connection, collection: Collection, field: number): void {
  const table = documentsTable(collection)
  connection.execute(`CREATE INDEX IF NOT EXISTS ${table}_f${field} ON ${table} (f${field}, key)`)
}

/**
 * Indexes the words that are there, and from now on each write. The tokenizer cuts at blanks alone, because the words come normalised: all
 * other characters that it could cut at are declared to be parts of words. Their places are not kept, only which document has which word.
 */
export function createWordIndex(connection: Connection, collection: Collection): void {
  if (!collection.searchable || collection.hasWordIndex) return
  const words = wordsTable(collection)
  connection.execute(`
    CREATE VIRTUAL TABLE ${words} USING fts5(words,
      content='${documentsTable(collection)}', content_rowid='number', detail=column, columnsize=0,
      tokenize="ascii tokenchars '!""#$%&''()*+,-./:;<=>?@[\\]^_\`{|}~'");
    INSERT INTO ${words} (${words}) VALUES ('rebuild')`)
  createWordTriggers(connection, collection)
  connection.cached('UPDATE headwater_collections SET has_word_index = 1 WHERE number = ?').run(collection.number)
}

function createWordTriggers(connection: Connection, collection: Collection): void {
  const table = documentsTable(collection)
  const words = wordsTable(collection)
  const add = `INSERT INTO ${words} (rowid, words) VALUES (new.number, new.words);`
  const remove = `INSERT INTO ${words} (${words}, rowid, words) VALUES ('delete', old.number, old.words);`
  connection.execute(`
    CREATE TRIGGER ${table}_insert AFTER INSERT ON ${table} BEGIN ${add} END;
    CREATE TRIGGER ${table}_delete AFTER DELETE ON ${table} BEGIN ${remove} END;
    CREATE TRIGGER ${table}_update AFTER UPDATE OF words ON ${table} WHEN old.words IS NOT new.words BEGIN ${remove} ${add} END`)
}

export function clearCollection(connection: Connection, collection: Collection): void {
  const table = documentsTable(collection)
  if (!collection.hasWordIndex) {
    connection.execute(`DELETE FROM ${table}`)
    return
  }
  // Without triggers SQLite empties a table at once, not row by row.
  const words = wordsTable(collection)
  connection.execute(`
    DROP TRIGGER ${table}_insert; DROP TRIGGER ${table}_delete; DROP TRIGGER ${table}_update;
    DELETE FROM ${table};
    INSERT INTO ${words} (${words}) VALUES ('delete-all')`)
  createWordTriggers(connection, collection)
}
