import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { EncodedEvent } from '../../src/storage/write-set.ts'
import { openStore } from './place.ts'
import type { Place } from './place.ts'

/** An event with its place, as a row. */
export interface Row {
  readonly position: number
  readonly stream: string
  readonly version: number
  readonly event: EncodedEvent
}

/**
 * The least that a program could do with the database's own client: rows into a table with the same columns and indexes as ours, one row or
 * many a transaction, and rows out of our own table. No expectations are checked, positions are counted by the program.
 */
export interface Bare extends AsyncDisposable {
  insertOne(row: Row): Promise<void>
  /** The same after taking a lock that everybody takes, in one statement: what it costs to commit in the order of positions, one by one. */
  insertOneLocked?(row: Row): Promise<void>
  insertMany(rows: readonly Row[]): Promise<void>
}

const columns = [
  'position',
  'stream',
  'version',
  'type',
  'schema_version',
  'id',
  'source',
  'time_ms',
  'correlation_id',
  'causation_id',
  'metadata',
  'data',
] as const

function valuesOf({ position, stream, version, event }: Row): (string | number | null)[] {
  const { type, schemaVersion, id, source, timeMs, correlationId, causationId, metadata, data } = event
  return [position, stream, version, type, schemaVersion, id, source, timeMs, correlationId, causationId, metadata, data]
}

/** Makes the table in an empty place. */
export async function bareTable(place: Place, connections = 1): Promise<Bare> {
  const store = await openStore(place)
  await store.close()
  return place.store === 'sqlite' ? bareSqlite(place.path) : barePostgres(place.url, connections)
}

const columnTypes = ['bigint', 'text', 'bigint', 'text', 'int', 'text', 'text', 'bigint', 'text', 'text', 'json', 'json']

async function barePostgres(url: string, connections: number): Promise<Bare> {
  const pool = new pg.Pool({ connectionString: url, max: connections })
  await pool.query('CREATE TABLE bare_events (LIKE headwater.events INCLUDING ALL)')
  const placeholders = columns.map((_, index) => `$${index + 1}`)
  const one = { name: 'one', text: `INSERT INTO bare_events (${columns.join(', ')}) VALUES (${placeholders.join(', ')})` }
  const casts = columnTypes.map((type, index) => `$${index + 1}::${type}`)
  const locked = {
    name: 'locked',
    text: `INSERT INTO bare_events (${columns.join(', ')}) SELECT ${casts.join(', ')} FROM (SELECT pg_advisory_xact_lock(1)) AS locked`,
  }
  const arrays = columnTypes.map((type, index) => `$${index + 1}::${type}[]`)
  const many = { name: 'many', text: `INSERT INTO bare_events (${columns.join(', ')}) SELECT * FROM unnest(${arrays.join(', ')})` }
  return {
    async insertOne(row) {
      await pool.query({ ...one, values: valuesOf(row) })
    },
    async insertOneLocked(row) {
      await pool.query({ ...locked, values: valuesOf(row) })
    },
    async insertMany(rows) {
      const values = rows.map(valuesOf)
      await pool.query({ ...many, values: columns.map((_, index) => values.map((row) => row[index])) })
    },
    [Symbol.asyncDispose]: () => pool.end(),
  }
}

function bareSqlite(path: string): Bare {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000')
  const insert = database.prepare(`INSERT INTO headwater_events (${columns.join(', ')}) VALUES (${columns.map(() => '?').join(', ')})`)
  const begin = database.prepare('BEGIN IMMEDIATE')
  const commit = database.prepare('COMMIT')
  return {
    async insertOne(row) {
      insert.run(...valuesOf(row))
    },
    async insertMany(rows) {
      begin.run()
      for (const row of rows) insert.run(...valuesOf(row))
      commit.run()
    },
    async [Symbol.asyncDispose]() {
      database.close()
    },
  }
}

const pageSize = 5_000

/**
 * Reads the log as fast as the client can: pages of 5,000 rows with all columns, the next one asked for before the last one is looked at, rows as
 * arrays, none of the client's own parsers; each payload parsed as JSON. Calls `onPage` with the payloads and returns how many there were.
 */
export async function bareLoop(
  place: Place,
  onPage: (payloads: readonly unknown[]) => void = () => {},
  { type, after = 0 }: { readonly type?: string | undefined; readonly after?: number } = {},
): Promise<number> {
  return place.store === 'sqlite' ? sqliteLoop(place.path, onPage, type, after) : postgresLoop(place.url, onPage, type, after)
}

async function postgresLoop(
  url: string,
  onPage: (payloads: readonly unknown[]) => void,
  type: string | undefined,
  first: number,
): Promise<number> {
  const client = new pg.Client(url)
  await client.connect()
  const text = `SELECT ${columns.join(', ')} FROM headwater.events WHERE position > $1 ${type ? 'AND type = $2' : ''} ORDER BY position LIMIT ${pageSize}`
  const read = async (after: string): Promise<readonly (readonly string[])[]> => {
    const query = { name: 'page', text, values: type ? [after, type] : [after], rowMode: 'array', types: asText } as const
    const result = await client.query<string[]>(query)
    return result.rows
  }
  let count = 0
  let page = await read(String(first))
  while (page.length > 0) {
    const ahead = page.length === pageSize ? read(page.at(-1)![0]!) : undefined
    onPage(page.map((row) => JSON.parse(row[11]!) as unknown))
    count += page.length
    page = (await ahead) ?? []
  }
  await client.end()
  return count
}

const asText = { getTypeParser: () => (value: string) => value }

function sqliteLoop(path: string, onPage: (payloads: readonly unknown[]) => void, type: string | undefined, first: number): number {
  const database = new DatabaseSync(path, { readOnly: true })
  const select = database.prepare(
    `SELECT ${columns.join(', ')} FROM headwater_events WHERE position > ? ${type ? 'AND type = ?' : ''} ORDER BY position LIMIT ${pageSize}`,
  )
  select.setReturnArrays(true)
  let count = 0
  let after = first
  for (;;) {
    const page = select.all(...(type ? [after, type] : [after])) as unknown as readonly (readonly [number, ...string[]])[]
    if (page.length === 0) break
    onPage(page.map((row) => JSON.parse(row[11]!) as unknown))
    count += page.length
    after = page.at(-1)![0]
  }
  database.close()
  return count
}
