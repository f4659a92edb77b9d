import { UnsupportedStoreError } from '../errors.ts'
import type { Database, Session } from './database.ts'
import { literal } from './literal.ts'
import type { Row } from './pool.ts'
import { plainRows } from './pool.ts'
import type { Names } from './names.ts'
import { migrations, schemaVersion } from './schema.ts'

export interface StoreVersions {
  readonly schema: number
  readonly leastReader: number
  readonly leastWriter: number
}

/** What the store needs before this program may use it. */
export type SchemaState = 'missing' | 'outdated' | 'ready'

/**
 * Looks at the store without changing it.
 * @throws UnsupportedStoreError when the store has become too new for this program.
 */
export async function inspectSchema(database: Database, names: Names): Promise<SchemaState> {
  const versions = await readVersions((text) => database.read({ text }, []), names)
  if (!versions) return 'missing'
  const least = Math.max(versions.leastReader, versions.leastWriter)
  if (least > schemaVersion)
    throw new UnsupportedStoreError(
      `the store in the schema ${names.schemaName} of ${database.address} has the version ${versions.schema}, which programs written for a version before ${least} ` +
        `must not use; this one was written for ${schemaVersion}: update headwater`,
    )
  return versions.schema < schemaVersion ? 'outdated' : 'ready'
}

/** Carries out the migrations that are missing, each in a transaction. Of several processes that try, one does it and the others wait. */
export async function migrate(database: Database, names: Names): Promise<void> {
  while (await database.transaction((session) => migrateOnce(session, names)));
}

/** False when there is none left to do. */
async function migrateOnce(session: Session, names: Names): Promise<boolean> {
  // A migration may take as long as it takes, and so may waiting for somebody else's.
  await session.query({ text: 'SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0' })
  await session.query({ text: `SELECT pg_advisory_xact_lock(${names.migrationLock})` })
  const query = async (text: string): Promise<readonly Row[]> => (await session.query({ ...plainRows, text })).rows as Row[]
  const current = (await readVersions(query, names))?.schema ?? 0
  const next = migrations.find(({ version }) => version > current)
  if (!next) return false
  if (current === 0) await query(`CREATE SCHEMA IF NOT EXISTS ${names.schema}`)
  await query(next.script(names))
  await query(
    `UPDATE ${names.schema}.store
     SET schema_version = ${next.version}, least_reader_version = ${next.leastReader}, least_writer_version = ${next.leastWriter}`,
  )
  return true
}

async function readVersions(query: (text: string) => Promise<readonly Row[]>, names: Names): Promise<StoreVersions | undefined> {
  // Not `to_regclass`: it answers from a cache that waiting for the migration lock does not bring up to date.
  const [found] = await query(`SELECT 1 FROM pg_catalog.pg_tables WHERE schemaname = ${literal(names.schemaName)} AND tablename = 'store'`)
  if (!found) return undefined
  const [row] = await query(`SELECT schema_version, least_reader_version, least_writer_version FROM ${names.schema}.store`)
  return row && { schema: Number(row[0]), leastReader: Number(row[1]), leastWriter: Number(row[2]) }
}
