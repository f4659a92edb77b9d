import { HeadwaterError } from '../../message/errors.ts'
import { StorageError, StoreUnavailableError, UnsupportedStoreError } from '../errors.ts'
import type { Database } from './database.ts'
import { codeOf, isTransient } from './errors.ts'
import { literal } from './literal.ts'
import { inspectSchema, migrate } from './migrate.ts'
import type { Names } from './names.ts'

const insufficientPrivilege = '42501'
const leastServerVersion = 14

/**
 * Checks that the server can keep what the store promises, and that the store is there; makes or migrates it where that is allowed.
 * @throws UnsupportedStoreError, StoreUnavailableError, StorageError
 */
export async function prepare(database: Database, names: Names, { migrate: mayMigrate }: { readonly migrate: boolean }): Promise<void> {
  try {
    const role = await checkServer(database)
    let state = await inspectSchema(database, names)
    if (state !== 'ready' && mayMigrate) {
      await migrate(database, names)
      state = await inspectSchema(database, names)
    }
    if (state !== 'ready')
      throw new UnsupportedStoreError(
        `the store in the schema ${names.schemaName} of ${database.address} is ${state === 'missing' ? 'not there yet' : 'of an older version'}: ` +
          `run  headwater migrate --storage ${database.storageOption}`,
      )
    await checkRights(database, names, role)
  } catch (error) {
    throw explain(error, database)
  }
}

/** The name of the role that we are. */
async function checkServer(database: Database): Promise<string> {
  const [row] = await database.read(
    {
      text: `SELECT current_setting('server_version'), current_setting('server_version_num')::integer / 10000, current_setting('server_encoding'),
        current_setting('fsync'), pg_is_in_recovery(), current_user`,
    },
    [],
  )
  const [version, major, encoding, fsync, isReplica, role] = row!
  const refuse = (problem: string): never => {
    throw new UnsupportedStoreError(`${database.address}: ${problem}`)
  }
  if (Number(major) < leastServerVersion) refuse(`PostgreSQL ${leastServerVersion} or newer is needed, this is ${version}`)
  if (encoding !== 'UTF8') refuse(`the encoding of the database is ${encoding}; create one with ENCODING 'UTF8'`)
  if (fsync === 'off') refuse('fsync is off, so that a crash of the machine would lose events that were acknowledged; turn it on')
  if (isReplica === 't') refuse('this server is a read-only replica; connect to the primary')
  return role!
}

/** What a program needs beside the right to use the schema. Creating collections needs CREATE on the schema as well. */
const neededRights: readonly (readonly [table: string, rights: readonly string[]])[] = [
  ['store', ['SELECT']],
  ['events', ['SELECT', 'INSERT']],
  ['event_tags', ['SELECT', 'INSERT']],
  ['receipts', ['SELECT', 'INSERT']],
  ['snapshots', ['SELECT', 'INSERT', 'UPDATE']],
  ['processors', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
  ['inbox', ['SELECT', 'INSERT', 'DELETE']],
  ['staged_events', ['SELECT']],
  ['staged_order', ['SELECT', 'UPDATE']],
  ['collections', ['SELECT', 'INSERT', 'UPDATE', 'DELETE']],
]

async function checkRights(database: Database, { schema, schemaName }: Names, role: string): Promise<void> {
  const wanted = neededRights.flatMap(([table, rights]) => rights.map((right) => `(${literal(`${schema}.${table}`)}, '${right}')`))
  const rows = await database.read(
    {
      text: `SELECT w.name, w.wanted FROM (VALUES ${wanted.join(', ')}) AS w (name, wanted) WHERE NOT has_table_privilege(w.name, w.wanted)
        UNION ALL SELECT 'sequence', 'USAGE' WHERE NOT has_sequence_privilege(${literal(`${schema}.epochs`)}, 'USAGE')`,
    },
    [],
  )
  if (rows.length === 0) return
  const missing = rows.map(([table, right]) => `${right} on ${table}`).join(', ')
  throw new UnsupportedStoreError(
    `the role ${role} may not use the store in the schema ${schemaName} of ${database.address} (missing: ${missing}): ` +
      `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${role}, and USAGE ON ALL SEQUENCES`,
  )
}

/** The error of a start that failed, as a sentence that says where and what to do. */
function explain(error: unknown, database: Database): unknown {
  if (error instanceof HeadwaterError || !(error instanceof Error)) return error
  const cause = { cause: error }
  if (codeOf(error) === insufficientPrivilege)
    return new UnsupportedStoreError(
      `${database.address}: ${error.message}; let a role that may do so run  headwater migrate --storage ${database.storageOption}  or grant it`,
      cause,
    )
  if (isTransient(error)) return new StoreUnavailableError(`${database.address} cannot be reached: ${messageOf(error)}`, cause)
  return new StorageError(`${database.address}: ${messageOf(error)}`, cause)
}

// Node has no message for a host with several addresses that all failed.
function messageOf(error: Error): string {
  return error instanceof AggregateError
    ? error.errors.map((each) => (each instanceof Error ? each.message : String(each))).join('; ')
    : error.message
}
