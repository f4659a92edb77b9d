import { uuidv7 } from '../../message/id.ts'
import { UnsupportedStoreError } from '../errors.ts'
import type { Connection } from './connection.ts'

/** One step from a version of the store's schema to the next. Expand first and contract in a later release, so that deploys can roll. */
export interface Migration {
  readonly version: number
  /** The oldest schema version whose programs can still read, and write, a store after this step. */
  readonly leastReader: number
  readonly leastWriter: number
  readonly script: string
}

// Tables carry a prefix because the file may be the service's own database, with tables of SQL projections beside ours.
const migrations: readonly Migration[] = [
  {
    version: 1,
    leastReader: 1,
    leastWriter: 1,
    script: `
      CREATE TABLE headwater_store (
        log_id TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        least_reader_version INTEGER NOT NULL,
        least_writer_version INTEGER NOT NULL,
        first_position INTEGER NOT NULL, -- of the log; history before it has been archived
        removed_epoch INTEGER NOT NULL   -- highest epoch of the processors that were removed, see ProcessorTable
      ) STRICT;

      -- The payload comes last: a long one spills to other pages, and columns behind it would have to be looked for there.
      CREATE TABLE headwater_events (
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        type TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        id TEXT NOT NULL,
        source TEXT NOT NULL,
        time_ms INTEGER NOT NULL,
        correlation_id TEXT NOT NULL,
        causation_id TEXT NOT NULL,
        metadata TEXT,
        tags TEXT,
        data TEXT NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX headwater_events_stream ON headwater_events (stream, version);
      CREATE UNIQUE INDEX headwater_events_id ON headwater_events (id, source);
      -- Every index ends with the row's key, so these two give positions in log order.
      CREATE INDEX headwater_events_type ON headwater_events (type);
      CREATE INDEX headwater_events_correlation ON headwater_events (correlation_id);

      CREATE TABLE headwater_event_tags (
        tag TEXT NOT NULL,
        position INTEGER NOT NULL,
        PRIMARY KEY (tag, position)
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE headwater_receipts (
        command_id TEXT PRIMARY KEY,
        target TEXT NOT NULL,
        payload_hash TEXT NOT NULL,
        version INTEGER NOT NULL,
        first_position INTEGER NOT NULL,
        position INTEGER NOT NULL,
        event_count INTEGER NOT NULL,
        time_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE headwater_snapshots (
        stream TEXT NOT NULL,
        aggregate TEXT NOT NULL,
        schema_version INTEGER NOT NULL,
        version INTEGER NOT NULL,
        state TEXT NOT NULL,
        PRIMARY KEY (stream, aggregate)
      ) STRICT;

      CREATE TABLE headwater_processors (
        processor TEXT PRIMARY KEY,
        position INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        owner TEXT,
        expires_ms INTEGER NOT NULL,
        state TEXT, -- kept with the checkpoint
        failure TEXT,
        moved_ms INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE headwater_inbox (
        number INTEGER PRIMARY KEY,
        consumer TEXT NOT NULL,
        id TEXT NOT NULL,
        source TEXT NOT NULL,
        time_ms INTEGER NOT NULL
      ) STRICT;
      -- Ids come first: those that rise with time are added at the end of the index.
      CREATE UNIQUE INDEX headwater_inbox_message ON headwater_inbox (consumer, id, source);
      CREATE INDEX headwater_inbox_time ON headwater_inbox (consumer, time_ms);

      -- The number names the collection's own tables. It is never used again, so that a statement prepared for a collection that another
      -- process has dropped cannot meet the documents of a later one.
      CREATE TABLE headwater_collections (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        projection TEXT NOT NULL,
        version INTEGER NOT NULL,
        indexed TEXT NOT NULL,
        searchable INTEGER NOT NULL,
        has_word_index INTEGER NOT NULL,
        state TEXT NOT NULL,
        changed_ms INTEGER NOT NULL
      ) STRICT;
    `,
  },
]

/** The version of the schema that this program was written for. */
export const schemaVersion: number = migrations.at(-1)!.version

interface StoreVersions {
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
export function inspectSchema(connection: Connection, path: string): SchemaState {
  const versions = readVersions(connection)
  if (!versions) return 'missing'
  const least = Math.max(versions.leastReader, versions.leastWriter)
  if (least > schemaVersion)
    throw new UnsupportedStoreError(
      `the store ${path} has the schema ${versions.schema}, which programs written for a schema before ${least} must not use; ` +
        `this one was written for ${schemaVersion}: update headwater`,
    )
  return versions.schema < schemaVersion ? 'outdated' : 'ready'
}

/** Carries out the next migration that is missing; false when there is none. To be called in a transaction that holds the write lock. */
export function migrateOnce(connection: Connection): boolean {
  const current = readVersions(connection)?.schema ?? 0
  const next = migrations.find(({ version }) => version > current)
  if (!next) return false
  connection.execute(next.script)
  if (current === 0) connection.prepare('INSERT INTO headwater_store VALUES (?, 0, 0, 0, 1, 0)').run(uuidv7())
  connection
    .prepare('UPDATE headwater_store SET schema_version = ?, least_reader_version = ?, least_writer_version = ?')
    .run(next.version, next.leastReader, next.leastWriter)
  return true
}

function readVersions(connection: Connection): StoreVersions | undefined {
  const exists = connection.prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'headwater_store'`).get()
  if (!exists) return undefined
  const row = connection
    .prepare<[number, number, number]>('SELECT schema_version, least_reader_version, least_writer_version FROM headwater_store')
    .get()
  return row && { schema: row[0], leastReader: row[1], leastWriter: row[2] }
}
