import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { UnsupportedStoreError } from '../errors.ts'
import { Connection } from './connection.ts'
import { Database } from './database.ts'
import { SqliteDriver } from './driver.ts'
import { translate } from './errors.ts'
import { WriteLock, whenFree } from './lock.ts'
import { inspectSchema, migrateOnce, schemaVersion } from './schema.ts'

/** Before this version SQLite can corrupt a write-ahead log that several processes reset at once. */
const leastSqliteVersion = '3.51.3'

const memory = ':memory:'

export interface SqliteOptions {
  /** How long a read or write tries for a lock that other processes hold, before it fails. Default: 10,000. */
  readonly lockTimeoutMs?: number
}

/** Connects, checks and migrates. See `Storage.open`. */
export async function openDriver(path: string, options: SqliteOptions, { migrate }: { readonly migrate: boolean }): Promise<SqliteDriver> {
  const { lockTimeoutMs = 10_000 } = options
  const isInMemory = path === memory
  const file = isInMemory ? memory : resolve(path)
  // Connecting would make an empty file.
  if (!migrate && !isInMemory && !existsSync(file)) throw unmigrated(path, 'does not exist')
  const connections: Connection[] = []
  const connect = () => {
    const connection = new Connection(file)
    connections.push(connection)
    connection.execute(settings)
    return connection
  }
  const patiently = <T>(attempt: () => T) => whenFree(attempt, lockTimeoutMs)
  try {
    const writer = await patiently(connect)
    assertSqliteVersion(writer.prepare<readonly [string]>('SELECT sqlite_version()').get()![0])
    const state = await patiently(() => inspectSchema(writer, path))
    // Nobody could have prepared a database in memory beforehand.
    if (state !== 'ready' && !migrate && !isInMemory)
      throw unmigrated(path, state === 'missing' ? 'is not a Headwater store yet' : `has a schema older than ${schemaVersion}`)
    if (!isInMemory) await patiently(() => useWriteAheadLog(writer, path))
    if (state !== 'ready') await migrateSchema(writer, new WriteLock(lockTimeoutMs))
    await patiently(() => inspectSchema(writer, path))

    const [reader, userWriter] = isInMemory ? [writer, writer] : [await patiently(connect), await patiently(connect)]
    if (!isInMemory) reader.execute('PRAGMA query_only = TRUE')
    const database = new Database({ path, reader, writer, userWriter, lockTimeoutMs })
    return await patiently(() => new SqliteDriver(database))
  } catch (error) {
    for (const connection of connections) connection.close()
    throw translate(error, path)
  }
}

// FULL: a commit is flushed before it is acknowledged. Every 16 MiB (4,000 pages) the write-ahead log is brought into the database; four
// times SQLite's default, because a page that many commits touch is then written once for all of them. A log that grew because somebody
// held an old snapshot shrinks to 64 MiB when that is over.
const settings = `
  PRAGMA synchronous = FULL;
  PRAGMA wal_autocheckpoint = 4000;
  PRAGMA journal_size_limit = 67108864;
  PRAGMA cache_size = -16000;`

/** Each migration in a transaction of its own. Of several processes that find the same one missing, the first carries it out. */
async function migrateSchema(connection: Connection, lock: WriteLock): Promise<void> {
  while (await lock.transact(connection, () => migrateOnce(connection)));
}

function useWriteAheadLog(connection: Connection, path: string): void {
  const [mode] = connection.prepare<readonly [string]>('PRAGMA journal_mode = WAL').get()!
  if (mode !== 'wal')
    throw new UnsupportedStoreError(`${path} cannot have a write-ahead log (its mode stays ${mode}): put it on a local disk`)
}

/** @throws UnsupportedStoreError */
export function assertSqliteVersion(version: string): void {
  if (isOlder(version, leastSqliteVersion))
    throw new UnsupportedStoreError(
      `this Node.js (${process.version}) has SQLite ${version}, which can damage a database that several processes use; ` +
        `at least ${leastSqliteVersion} is needed: update Node.js`,
    )
}

function isOlder(version: string, than: string): boolean {
  const [parts, least] = [version, than].map((text) => text.split('.').map(Number)) as [number[], number[]]
  const differing = least.findIndex((part, index) => part !== (parts[index] ?? 0))
  return differing >= 0 && (parts[differing] ?? 0) < least[differing]!
}

function unmigrated(path: string, why: string): UnsupportedStoreError {
  return new UnsupportedStoreError(`the store ${path} ${why}: run  headwater migrate --storage sqlite:${path}`)
}
