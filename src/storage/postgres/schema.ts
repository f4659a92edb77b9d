import type { Names } from './names.ts'
import { createHash } from 'node:crypto'
import { InvalidDefinitionError } from '../../message/errors.ts'
import { commitFunctions } from './commit-function.ts'
import { conditionFunction } from './condition-function.ts'
import { documentFunction } from './document-function.ts'
import { identifier } from './literal.ts'
import { stagingFunctions, stagingTables } from './outbox/schema.ts'

/** @throws InvalidDefinitionError when it is no name that could stand unchanged in SQL between quotes. */
export function checkSchemaName(schemaName: string): void {
  if (!/^[a-zA-Z_][\w-]{0,62}$/.test(schemaName))
    throw new InvalidDefinitionError(
      `${JSON.stringify(schemaName)} is no name for a schema: letters, digits, _ and -, beginning with a letter, at most 63`,
    )
}

/** Advisory locks and channels belong to a whole database, so their names come from that of the schema. */
export function namesOf(schemaName: string): Names {
  const digest = createHash('sha256').update(`headwater ${schemaName}`).digest()
  return {
    schemaName,
    schema: identifier(schemaName),
    orderLock: digest.readBigInt64BE(0),
    migrationLock: digest.readBigInt64BE(8),
    channel: `headwater_${digest.toString('hex', 16)}`,
  }
}

/** One step from a version of the store's schema to the next. Steps expand first and contract in a later release, so that deploys can roll. */
export interface Migration {
  readonly version: number
  /** The oldest schema version whose programs can still read, and write, a store after this step. */
  readonly leastReader: number
  readonly leastWriter: number
  readonly script: (names: Names) => string
}

export const migrations: readonly Migration[] = [
  { version: 1, leastReader: 1, leastWriter: 1, script: (names) => [tables(names), stagingTables(names), functions(names)].join('\n') },
]

/** The version of the schema that this program was written for. */
export const schemaVersion: number = migrations.at(-1)!.version

/**
 * One table for all events, whatever their number: a partitioned one could not guarantee that ids and stream versions are unique. It is only
 * ever inserted into, so that a transaction which somebody leaves open has no dead rows to keep. Texts are collated "C": compared byte by
 * byte, whatever the database's locale is. Payloads are `json`, which keeps the text as it came; `jsonb` would not.
 */
function tables({ schema }: Names): string {
  return `
CREATE TABLE ${schema}.store (
  single boolean PRIMARY KEY DEFAULT true CHECK (single),
  log_id text NOT NULL DEFAULT gen_random_uuid(),
  schema_version integer NOT NULL DEFAULT 0,
  least_reader_version integer NOT NULL DEFAULT 0,
  least_writer_version integer NOT NULL DEFAULT 0,
  first_position bigint NOT NULL DEFAULT 1 -- of the log; history before it has been archived
);
INSERT INTO ${schema}.store DEFAULT VALUES;

CREATE TABLE ${schema}.events (
  position bigint NOT NULL,
  version bigint NOT NULL,
  time_ms bigint NOT NULL,
  schema_version integer NOT NULL,
  stream text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  causation_id text COLLATE "C" NOT NULL,
  metadata json,
  tags json,
  data json NOT NULL,
  PRIMARY KEY (position),
  UNIQUE (stream, version),
  UNIQUE (id, source)
);
CREATE INDEX events_type ON ${schema}.events (type, position);
CREATE INDEX events_correlation ON ${schema}.events (correlation_id, position);
-- New rows are all that vacuum finds here; without this it would wait for a fifth of the table to be new before it marks pages all-visible.
ALTER TABLE ${schema}.events SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE TABLE ${schema}.event_tags (
  tag text COLLATE "C" NOT NULL,
  position bigint NOT NULL,
  PRIMARY KEY (tag, position)
);

CREATE TABLE ${schema}.receipts (
  command_id text COLLATE "C" PRIMARY KEY,
  target text NOT NULL,
  payload_hash text NOT NULL,
  version bigint NOT NULL,
  first_position bigint NOT NULL,
  position bigint NOT NULL,
  event_count integer NOT NULL
);

CREATE TABLE ${schema}.snapshots (
  stream text COLLATE "C" NOT NULL,
  aggregate text COLLATE "C" NOT NULL,
  schema_version integer NOT NULL,
  version bigint NOT NULL,
  state json NOT NULL,
  PRIMARY KEY (stream, aggregate)
);

-- Few rows that change often: half-empty pages let a new version of a row stay on the page of the old one, out of the index.
CREATE TABLE ${schema}.processors (
  processor text COLLATE "C" PRIMARY KEY,
  position bigint NOT NULL,
  epoch bigint NOT NULL,
  owner text,
  expires_at timestamptz,
  state text, -- kept with the checkpoint
  failure text,
  moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50);
-- One sequence for all, so that the epochs of a processor go on rising after it was removed and made again.
CREATE SEQUENCE ${schema}.epochs;

-- Ids come first in the key: those that rise with time are added at its end. Entries are forgotten by time, which a BRIN index finds at next to no cost.
CREATE TABLE ${schema}.inbox (
  consumer text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  time_ms bigint NOT NULL,
  PRIMARY KEY (consumer, id, source)
);
CREATE INDEX inbox_time ON ${schema}.inbox USING brin (time_ms) WITH (pages_per_range = 32, autosummarize = on);

-- The number names the collection's own table. It is never given twice, so that nobody meets the documents of a later one by the old name.
CREATE TABLE ${schema}.collections (
  number integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  id text COLLATE "C" NOT NULL UNIQUE,
  projection text COLLATE "C" NOT NULL,
  version integer NOT NULL,
  indexed json NOT NULL,
  searchable boolean NOT NULL,
  state text NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);`
}

function functions(names: Names): string {
  return [conditionFunction(names), documentFunction(names), commitFunctions(names), stagingFunctions(names)].join('\n')
}
