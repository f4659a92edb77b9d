import { StorageError } from '../errors.ts'
import type {
  CollectionInfo,
  CollectionSpec,
  DocumentLoad,
  DocumentStore,
  EncodedFind,
  FoundDocument,
  LoadedDocument,
} from '../document-port.ts'
import type { CheckpointMove } from '../write-set.ts'
import type { Database, Session } from './database.ts'
import { collectionTable, dropCollectionTable, wordVector } from './document-function.ts'
import { codeOf } from './errors.ts'
import { findQuery } from './find.ts'
import { joinJson, splitJson, textArray, withLiterals } from './literal.ts'
import type { Row, Value } from './pool.ts'
import { plainRows } from './pool.ts'
import { Processors } from './processors.ts'

interface Collection {
  readonly table: string
  readonly fields: number
  readonly searchable: boolean
}

/** So many characters of documents at most go into one statement of `load`. More of them are no faster, and need more memory. */
const loadedCharacters = 1024 * 1024
const loadedDocuments = 2_500

const undefinedTable = '42P01'

/** Documents: one table a collection, named after the number of the collection's row. */
export class Documents implements DocumentStore {
  readonly #database: Database
  readonly #schema: string
  readonly #processors: Processors
  /** Another process may drop a collection and make it anew, under another number: see `#inTable`. */
  readonly #known = new Map<string, Collection>()

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#schema = schema
    this.#processors = new Processors(database, schema)
  }

  async create({ id, projection, version, indexed, searchable }: CollectionSpec): Promise<void> {
    await this.#database.transaction(async (session) => {
      const [made] = await run(
        session,
        `INSERT INTO ${this.#schema}.collections (id, projection, version, indexed, searchable, state) VALUES ($1, $2, $3, $4, $5, 'building')
         ON CONFLICT (id) DO NOTHING RETURNING number`,
        [id, projection, String(version), JSON.stringify(indexed), String(searchable)],
      )
      if (!made) return
      await run(session, collectionTable(this.#schema, Number(made[0]), { fields: indexed.length, searchable }))
    })
  }

  async index(collection: string): Promise<void> {
    const { table, fields, searchable } = await this.#find(collection)
    const name = table.slice(this.#schema.length + 1)
    await this.#database.transaction(async (session) => {
      await run(session, 'SET LOCAL statement_timeout = 0')
      // Two who index at once wait here, not for each other in the middle of it.
      await run(session, `LOCK TABLE ${table} IN SHARE ROW EXCLUSIVE MODE`)
      for (let field = 0; field < fields; field++)
        await run(session, `CREATE INDEX IF NOT EXISTS ${name}_f${field} ON ${table} (f${field}, key)`)
      if (searchable) await run(session, `CREATE INDEX IF NOT EXISTS ${name}_words ON ${table} USING gin (words)`)
      await run(session, `ANALYZE ${table}`)
    })
  }

  async promote({ collection, processor, notBehind }: Parameters<DocumentStore['promote']>[0]): Promise<boolean> {
    return this.#database.transaction(async (session) => {
      // Locked, so that neither checkpoint moves until the swap is visible.
      const positions = new Map(
        (
          await run(
            session,
            `SELECT processor, position FROM ${this.#schema}.processors WHERE processor = ANY ($1::text[])
             ORDER BY processor FOR NO KEY UPDATE`,
            [textArray([processor, notBehind ?? processor])],
          )
        ).map(([name, position]) => [name!, Number(position)]),
      )
      if (notBehind !== undefined && (positions.get(processor) ?? 0) < (positions.get(notBehind) ?? 0)) return false
      // The projection's collections are locked in one order, by whoever promotes one of them.
      const [promoted] = await run(
        session,
        `SELECT c.id FROM ${this.#schema}.collections c
         WHERE c.projection = (SELECT projection FROM ${this.#schema}.collections WHERE id = $1) ORDER BY c.number FOR UPDATE`,
        [collection],
      )
      if (!promoted) throw missing(collection)
      await run(
        session,
        `UPDATE ${this.#schema}.collections c SET state = CASE WHEN c.id = $1 THEN 'live' ELSE 'retired' END, changed_at = clock_timestamp()
         WHERE c.projection = (SELECT projection FROM ${this.#schema}.collections WHERE id = $1)
           AND (c.id = $1 AND c.state <> 'live' OR c.id <> $1 AND c.state = 'live')`,
        [collection],
      )
      return true
    })
  }

  async drop(collection: string, processor: string): Promise<void> {
    await this.#database.transaction(async (session) => {
      await run(session, `DELETE FROM ${this.#schema}.processors WHERE processor = $1`, [processor])
      const [dropped] = await run(session, `DELETE FROM ${this.#schema}.collections WHERE id = $1 RETURNING number`, [collection])
      if (dropped) await run(session, dropCollectionTable(this.#schema, Number(dropped[0])))
    })
    this.#known.delete(collection)
  }

  async list(projection?: string): Promise<readonly CollectionInfo[]> {
    const rows = await this.#database.read(
      {
        text: `SELECT id, projection, version, indexed, searchable, state, extract(epoch FROM changed_at) * 1000 FROM ${this.#schema}.collections
          WHERE projection = $1 OR $1::text IS NULL ORDER BY number`,
      },
      [projection ?? null],
    )
    return rows.map(([id, of, version, indexed, searchable, state, changedAtMs]) => ({
      id: id!,
      projection: of!,
      version: Number(version),
      indexed: JSON.parse(indexed!) as readonly string[],
      searchable: searchable === 't',
      state: state as CollectionInfo['state'],
      changedAtMs: Math.floor(Number(changedAtMs)),
    }))
  }

  async get(collection: string, keys: readonly string[]): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#inTable(collection, ({ table }) =>
      this.#database.read({ text: `SELECT key, document FROM ${table} WHERE key = ANY ($1::text[])` }, [textArray(keys)]),
    )
    return new Map(rows.map(([key, document]) => [key!, document!]))
  }

  async find(collection: string, find: EncodedFind): Promise<readonly FoundDocument[]> {
    const rows = await this.#inTable(collection, ({ table }) => {
      const { text, values } = findQuery(table, find)
      return this.#database.read({ text }, values)
    })
    return rows.map(([key, document, ...sortValues]) => ({ key: key!, document: document!, sortValues: sortValues as string[] }))
  }

  load({ collection, documents, replaced, checkpoint }: DocumentLoad): Promise<boolean> {
    return this.#owned(collection, checkpoint, async (session, known) => {
      if (replaced.length > 0) await run(session, `DELETE FROM ${known.table} WHERE key = ANY ($1::text[])`, [textArray(replaced)])
      for (const part of parts(documents)) {
        const { text, values } = insertion(known, part)
        await session.query({ ...plainRows, text, values })
      }
    })
  }

  clear(collection: string, checkpoint: CheckpointMove): Promise<boolean> {
    return this.#owned(collection, checkpoint, async (session, { table }) => void (await run(session, `TRUNCATE ${table}`)))
  }

  async count(collection: string): Promise<number> {
    const [row] = await this.#inTable(collection, ({ table }) => this.#database.read({ text: `SELECT count(*) FROM ${table}` }, []))
    return Number(row![0])
  }

  /** One transaction, which holds the row of the processor from its beginning, so that nobody takes over in the middle of it. */
  #owned(collection: string, checkpoint: CheckpointMove, work: (session: Session, known: Collection) => Promise<void>): Promise<boolean> {
    return this.#inTable(collection, (known) =>
      this.#database.transaction(async (session) => {
        if (!(await this.#processors.moveCheckpoint(session, checkpoint))) return false
        await work(session, known)
        return true
      }),
    )
  }

  /** When the table is not there, the collection has been dropped since it was looked up, and perhaps made again: then once more. */
  async #inTable<T>(collection: string, work: (known: Collection) => Promise<T>): Promise<T> {
    const isFresh = !this.#known.has(collection)
    try {
      return await work(await this.#find(collection))
    } catch (error) {
      if (isFresh || codeOf(error) !== undefinedTable) throw error
      this.#known.delete(collection)
      return work(await this.#find(collection))
    }
  }

  async #find(id: string): Promise<Collection> {
    const known = this.#known.get(id)
    if (known) return known
    const text = `SELECT number, json_array_length(indexed), searchable FROM ${this.#schema}.collections WHERE id = $1`
    const [row] = await this.#database.read({ text }, [id])
    if (!row) throw missing(id)
    const collection = { table: `${this.#schema}.documents_${row[0]}`, fields: Number(row[1]), searchable: row[2] === 't' }
    this.#known.set(id, collection)
    return collection
  }
}

function missing(collection: string): StorageError {
  return new StorageError(`the collection ${collection} does not exist`)
}

/** Made of columns: PostgreSQL takes them apart faster than rows, and a table without secondary indexes takes them as fast as a COPY. */
function insertion({ table, fields, searchable }: Collection, documents: readonly LoadedDocument[]): { text: string; values: Value[] } {
  const names = Array.from({ length: fields }, (_, field) => `f${field}`)
  const values = [textArray(documents.map(({ key }) => key)), joinJson(documents.map(({ document }) => document))]
  for (let field = 0; field < fields; field++) values.push(textArray(documents.map((document) => document.fields[field] ?? null)))
  if (searchable) values.push(textArray(documents.map(({ words }) => words)))
  const columns = ['key', 'document', ...names, ...(searchable ? ['words'] : [])]
  const arrays = values.map((_, index) => (index === 1 ? splitJson('$2') : `$${index + 1}::text[]`))
  const selected = ['key', 'document::json', ...names, ...(searchable ? [wordVector] : [])]
  const text = `INSERT INTO ${table} (${columns.join(', ')}) SELECT ${selected.join(', ')} FROM unnest(${arrays.join(', ')}) AS d (${columns.join(', ')})`
  return { text, values }
}

function* parts(documents: readonly LoadedDocument[]): IterableIterator<readonly LoadedDocument[]> {
  let part: LoadedDocument[] = []
  let characters = 0
  for (const document of documents) {
    part.push(document)
    characters += document.document.length
    if (part.length < loadedDocuments && characters < loadedCharacters) continue
    yield part
    part = []
    characters = 0
  }
  if (part.length > 0) yield part
}

async function run(session: Session, text: string, values: readonly Value[] = []): Promise<readonly Row[]> {
  const result = await session.query({ ...plainRows, text: withLiterals(text, values) })
  return result.rows as Row[]
}
