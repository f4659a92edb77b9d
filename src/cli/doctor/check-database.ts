import type { SqlTransaction, StorageDriver } from '../../storage/port.ts'
import type { Finding } from './finding.ts'
import { ok, problem, warning } from './finding.ts'

/** The database beneath the store: its version, and the settings on which the store's promises rest. */
export async function checkDatabase(driver: StorageDriver, { full }: { readonly full: boolean }): Promise<readonly Finding[]> {
  const { sql, name } = driver.capabilities
  switch (sql) {
    case 'sqlite':
      return [...(await driver.transaction(checkSqlite)), ...(full ? [await checkFile(driver)] : [])]
    case 'postgres':
      return driver.transaction(checkPostgres)
    case false:
      return [ok('database', `${name}; its settings cannot be read from here`)]
  }
}

async function checkSqlite(sql: SqlTransaction): Promise<readonly Finding[]> {
  const pragma = async (name: string): Promise<unknown> => Object.values((await sql.query(`PRAGMA ${name}`)).rows[0] ?? {})[0]
  const journalMode = await pragma('journal_mode')
  const synchronous = Number(await pragma('synchronous'))
  const { rows } = await sql.query<{ schema_version: number }>('SELECT schema_version FROM headwater_store')
  return [
    ok('schema', `version ${rows[0]?.schema_version}`),
    journalMode === 'wal'
      ? ok('journal_mode', 'WAL: readers and the writer do not wait for each other')
      : warning('journal_mode', `${String(journalMode)} instead of WAL`, 'keep the file on a local disk: WAL needs shared memory'),
    synchronous >= 2
      ? ok('synchronous', 'FULL: what is acknowledged is on disk')
      : problem('synchronous', `${synchronous} instead of FULL: acknowledged events can be lost`, 'update headwater, which sets it'),
  ]
}

/** Reads the whole file, which takes its time: on a connection of its own, so that nobody waits for it to write. */
async function checkFile(driver: StorageDriver): Promise<Finding> {
  const { rows } = await driver.transaction((sql) => sql.query<{ file: string }>('PRAGMA database_list'))
  const { DatabaseSync } = await import('node:sqlite')
  using database = new DatabaseSync(rows[0]!.file, { readOnly: true })
  const [damage] = Object.values(database.prepare('PRAGMA quick_check(1)').get() ?? {})
  return damage === 'ok'
    ? ok('file', 'the database file is sound')
    : problem('file', `the database file is damaged: ${String(damage)}`, 'restore it from a backup, or export what can still be read')
}

interface PostgresSettings {
  readonly version: number
  readonly name: string
  readonly fsync: string
  readonly full_page_writes: string
  readonly synchronous_commit: string
  readonly in_recovery: boolean
}

const settings = `
  SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS name, current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes, current_setting('synchronous_commit') AS synchronous_commit,
    pg_is_in_recovery() AS in_recovery`

/** Transactions that hold back cleaning up, and may hold locks. Others' are visible only to those who may see them. */
const oldest = `
  SELECT pid, COALESCE(application_name, '') AS program, EXTRACT(EPOCH FROM clock_timestamp() - xact_start)::int AS seconds
  FROM pg_stat_activity
  WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start < clock_timestamp() - interval '1 minute'
  ORDER BY xact_start LIMIT 1`

async function checkPostgres(sql: SqlTransaction): Promise<readonly Finding[]> {
  const { rows } = await sql.query<PostgresSettings>(settings)
  const server = rows[0]!
  const old = (await sql.query<{ pid: number; program: string; seconds: number }>(oldest)).rows[0]
  return [
    server.version >= 140_000
      ? ok('server', `PostgreSQL ${server.name}`)
      : problem('server', `PostgreSQL ${server.name} is older than 14`, 'update the server'),
    ...(server.in_recovery ? [problem('server', 'it is a replica, which cannot be written', 'name the primary server')] : []),
    await checkSchema(sql),
    server.fsync === 'on'
      ? ok('fsync', 'on')
      : problem('fsync', 'off: a crash of the machine can destroy the database', 'set fsync = on in postgresql.conf'),
    server.full_page_writes === 'on'
      ? ok('full_page_writes', 'on')
      : warning(
          'full_page_writes',
          'off: a crash in the middle of a write can destroy a page',
          'set it on, unless the file system writes pages whole',
        ),
    server.synchronous_commit === 'off'
      ? problem('synchronous_commit', 'off: acknowledged events can be lost', 'set synchronous_commit = on for this user')
      : ok('synchronous_commit', `${server.synchronous_commit}, as the store sets it`),
    old === undefined
      ? ok('transactions', 'none is older than a minute')
      : warning(
          'transactions',
          `one of ${old.program || 'an unnamed program'} (pid ${old.pid}) has been open for ${old.seconds} s`,
          `end it if it is forgotten: SELECT pg_terminate_backend(${old.pid})`,
        ),
  ]
}

/** The store may be in any schema of the database; where there are several stores, all are named. */
async function checkSchema(sql: SqlTransaction): Promise<Finding> {
  const { rows: stores } = await sql.query<{ name: string; quoted: string }>(`
    SELECT table_schema AS name, quote_ident(table_schema) AS quoted
    FROM information_schema.columns WHERE table_name = 'store' AND column_name = 'least_reader_version' ORDER BY 1`)
  const versions: string[] = []
  for (const { name, quoted } of stores) {
    const { rows } = await sql.query<{ schema_version: number }>(`SELECT schema_version FROM ${quoted}.store`)
    versions.push(`version ${rows[0]?.schema_version} in ${name}`)
  }
  return ok('schema', versions.join(', ') || 'its version cannot be read')
}
