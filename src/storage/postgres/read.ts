import type { RecordedEvent } from '../../message/event.ts'
import type { LoadedStream, LogFilter, LogRange, LogState, StoredReceipt, StreamInfo, StreamLoad, StreamRange } from '../port.ts'
import type { MessageIdentity } from '../write-set.ts'
import type { Database, Statement } from './database.ts'
import { textArray } from './literal.ts'
import { isCategory, logQuery, selectsNothing } from './log-query.ts'
import { eventColumnsOf, readEvents } from './rows.ts'

/** Reads events and what belongs to them. Each method is one round trip. */
export class Reader {
  readonly #database: Database
  readonly #schema: string
  readonly #statements: ReturnType<typeof statementsOf>

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#schema = schema
    this.#statements = statementsOf(schema)
  }

  async readStream(range: StreamRange): Promise<readonly RecordedEvent[]> {
    const { stream, fromVersion, toVersion, untilMs, direction, limit } = range
    const [least = 0, most = Number.MAX_SAFE_INTEGER] = direction === 'forwards' ? [fromVersion, toVersion] : [toVersion, fromVersion]
    const values = [stream, String(least), String(most), String(limit)]
    if (untilMs === undefined) return readEvents(await this.#database.read(this.#statements.readStream[direction], values))
    return readEvents(await this.#database.read(this.#statements.readStreamUntil[direction], [...values, String(untilMs)]))
  }

  async readLog(range: LogRange): Promise<readonly RecordedEvent[]> {
    if (selectsNothing(range)) return []
    if (isFiltered(range)) {
      const { text, values } = logQuery(this.#schema, range)
      return readEvents(await this.#database.read({ text, walksIndex: true }, values))
    }
    const { after, upTo = Number.MAX_SAFE_INTEGER, limit } = range
    return readEvents(await this.#database.read(this.#statements.readLog, [String(after), String(upTo), String(limit)]))
  }

  async findEvents(identities: readonly MessageIdentity[]): Promise<readonly RecordedEvent[]> {
    const ids = textArray(identities.map(({ id }) => id))
    const sources = textArray(identities.map(({ source }) => source))
    return readEvents(await this.#database.read(this.#statements.findEvents, [ids, sources]))
  }

  async loadStream({ stream, snapshot, limit }: StreamLoad): Promise<LoadedStream> {
    if (!snapshot) return { snapshot: undefined, events: await this.readStream({ stream, direction: 'forwards', limit }) }
    const rows = await this.#database.read(this.#statements.loadStream, [
      stream,
      snapshot.aggregate,
      String(snapshot.schemaVersion),
      String(limit),
    ])
    // The snapshot stands first, in the columns of an event that has no position.
    const first = rows[0]
    if (!first || first[0] !== null) return { snapshot: undefined, events: readEvents(rows) }
    return { snapshot: { version: Number(first[1]), state: JSON.parse(first[12]!) as unknown }, events: readEvents(rows.slice(1)) }
  }

  async findReceipt(commandId: string): Promise<StoredReceipt | undefined> {
    const [row] = await this.#database.read(this.#statements.findReceipt, [commandId])
    if (!row) return undefined
    return {
      commandId,
      target: row[0]!,
      payloadHash: row[1]!,
      version: Number(row[2]),
      firstPosition: Number(row[3]),
      position: Number(row[4]),
      eventCount: Number(row[5]),
    }
  }

  async log(): Promise<LogState> {
    const [row] = await this.#database.read(this.#statements.log, [])
    return { id: row![0]!, head: Number(row![1]), firstPosition: Number(row![2]) }
  }

  async listStreams(page: { readonly category?: string; readonly after?: string; readonly limit: number }): Promise<readonly StreamInfo[]> {
    const { category, after = '', limit } = page
    if (category !== undefined && !isCategory(category)) return []
    const rows = await (category === undefined
      ? this.#database.read(this.#statements.listStreams, [after, String(limit)])
      : this.#database.read(this.#statements.listCategory, [after, String(limit), category]))
    return rows.map(([stream, version, position]) => ({ stream: stream!, version: Number(version), position: Number(position) }))
  }
}

function isFiltered({ types, categories, correlationId, query }: LogFilter): boolean {
  return types !== undefined || categories !== undefined || correlationId !== undefined || query !== undefined
}

function statementsOf(schema: string) {
  const events = `${schema}.events`
  return {
    readStream: { forwards: readStream(events, ''), backwards: readStream(events, 'DESC') },
    readStreamUntil: { forwards: readStream(events, '', '$5'), backwards: readStream(events, 'DESC', '$5') },
    readLog: {
      name: 'headwater_read_log',
      text: `SELECT ${eventColumnsOf('e')} FROM ${events} e WHERE position > $1 AND position <= $2 ORDER BY position LIMIT $3`,
    },
    findEvents: {
      name: 'headwater_find_events',
      text: `SELECT ${eventColumnsOf('e')} FROM unnest($1::text[], $2::text[]) AS i (id, source)
        CROSS JOIN LATERAL (SELECT * FROM ${events} x WHERE x.id = i.id AND x.source = i.source LIMIT 1) AS e`,
    },
    // A snapshot of a version that the stream has not reached belongs to a log that was lost.
    loadStream: {
      name: 'headwater_load_stream',
      text: `WITH snapshot AS MATERIALIZED (
          SELECT s.version, s.state FROM ${schema}.snapshots s WHERE s.stream = $1 AND s.aggregate = $2 AND s.schema_version = $3
          AND (SELECT true FROM ${events} e WHERE e.stream = $1 AND e.version = s.version)
        )
        SELECT NULL::bigint AS position, version, NULL::bigint AS time_ms, NULL::integer AS schema_version, NULL AS stream, NULL AS type,
          NULL AS id, NULL AS source, NULL AS correlation_id, NULL AS causation_id, NULL::json AS metadata, NULL::json AS tags, state AS data
        FROM snapshot
        UNION ALL (
          SELECT ${eventColumnsOf('e')} FROM ${events} e WHERE stream = $1 AND version > coalesce((SELECT version FROM snapshot), 0)
          ORDER BY version LIMIT $4
        )
        ORDER BY version`,
    },
    findReceipt: {
      name: 'headwater_find_receipt',
      text: `SELECT target, payload_hash, version, first_position, position, event_count FROM ${schema}.receipts WHERE command_id = $1`,
    },
    log: {
      name: 'headwater_log',
      text: `SELECT log_id, coalesce((SELECT position FROM ${events} ORDER BY position DESC LIMIT 1), first_position - 1), first_position
        FROM ${schema}.store`,
    },
    listStreams: { name: 'headwater_list_streams', text: listStreams(events, 'e.stream > $1', 'true') },
    listCategory: {
      name: 'headwater_list_category',
      text: listStreams(events, "e.stream > $1 AND e.stream >= $3::text || ':'", "e.stream < $3::text || ';'", '$3::text'),
    },
  } satisfies Record<string, Statement | Readonly<Record<string, Statement>>>
}

function readStream(events: string, direction: '' | 'DESC', untilMs?: '$5'): Statement {
  return {
    name: `headwater_read_stream${direction && '_backwards'}${untilMs ? '_until' : ''}`,
    text: `SELECT ${eventColumnsOf('e')} FROM ${events} e WHERE stream = $1 AND version >= $2 AND version <= $3
      ${untilMs ? `AND time_ms <= ${untilMs}` : ''} ORDER BY version ${direction} LIMIT $4`,
  }
}

/**
 * Goes from each stream to the next by the index on (stream, version) instead of over all their events. A category's own name may be that of
 * a stream as well; it does not stand beside those that begin with `category:`, since others like `category-2` come between.
 */
function listStreams(events: string, first: string, all: string, alone?: string): string {
  const next = `SELECT e.stream FROM ${events} e WHERE e.stream > n.stream AND ${all} ORDER BY e.stream LIMIT 1`
  return `WITH RECURSIVE names (stream) AS (
      (SELECT e.stream FROM ${events} e WHERE ${first} AND ${all} ORDER BY e.stream LIMIT 1)
      UNION ALL
      SELECT (${next}) FROM names n WHERE n.stream IS NOT NULL
    )
    SELECT n.stream, e.version, e.position
    FROM (
      ${alone ? `SELECT ${alone} COLLATE "C" AS stream WHERE ${alone} > $1 COLLATE "C" UNION ALL` : ''}
      (SELECT stream FROM names WHERE stream IS NOT NULL LIMIT $2)
    ) AS n
    CROSS JOIN LATERAL (SELECT x.version, x.position FROM ${events} x WHERE x.stream = n.stream ORDER BY x.version DESC LIMIT 1) AS e
    ORDER BY n.stream LIMIT $2`
}
