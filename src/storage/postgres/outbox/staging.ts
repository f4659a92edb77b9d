import type { EncodedEvent } from '../../write-set.ts'
import type { StagedEvent, StagedPage, Staging } from '../../port.ts'
import type { Database, Statement } from '../database.ts'
import type { Row } from '../pool.ts'
import { nothingSeen, outboxProcessor } from './schema.ts'

/**
 * Between two ticks: all that the snapshot `seen` sees is in the log. Within one: of what `until` sees and `seen` does not, so much as comes up
 * to an event. A transaction that was open when `seen` was taken is not missed however late it commits, and holds up nobody.
 */
interface Cursor {
  /** Of the server: transaction ids of another one, from which the tables were copied, mean nothing. */
  readonly cluster: string
  readonly seen: string
  readonly until?: string
  readonly number?: number
  readonly place?: number
}

interface Tick {
  /** As committed. */
  readonly cursor: Cursor | undefined
  readonly cluster: string
  readonly snapshot: string
  /** The cursor's transaction ids are not those of this server. */
  readonly isForeign: boolean
  /** The lowest number of what is to be moved next; undefined when there is nothing, and in the middle of a tick. */
  readonly first: number | undefined
}

/** Of one page, beyond its first event. */
const maxPageBytes = 4 * 1024 * 1024
const noTags: readonly string[] = []

/**
 * The staging tables as the sequencer sees them. All statements are sent as ones that write, which are read committed under every setting: a
 * serializable reader could make users' transactions fail.
 */
export class StagingTables implements Staging {
  readonly processor: string = outboxProcessor
  readonly #database: Database
  readonly #statements: ReturnType<typeof statementsOf>

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#statements = statementsOf(schema)
  }

  async read(limit: number): Promise<StagedPage> {
    let tick = await this.#tick({ anew: false })
    if (tick.isForeign) {
      await this.#database.write(this.#statements.adopt, [])
      tick = await this.#tick({ anew: true })
    }
    const { cursor, cluster, snapshot, first } = tick
    if (cursor?.until !== undefined) return this.#readPage(cursor, limit)
    if (first === undefined) return { events: [], cursor: undefined, hasMore: false }
    return this.#readPage({ cluster, seen: cursor?.seen ?? nothingSeen, until: snapshot, number: first, place: 0 }, limit)
  }

  async rotate(): Promise<boolean> {
    const [row] = await this.#database.write(this.#statements.rotate, [])
    return row![0] === 't'
  }

  async #tick({ anew }: { readonly anew: boolean }): Promise<Tick> {
    const [row] = await this.#database.write(this.#statements.tick, [String(anew)])
    const [state, cluster, snapshot, isForeign, first] = row!
    return {
      cursor: typeof state === 'string' ? (JSON.parse(state) as Cursor) : undefined,
      cluster: cluster!,
      snapshot: snapshot!,
      isForeign: isForeign === 't',
      first: typeof first === 'string' ? Number(first) : undefined,
    }
  }

  async #readPage({ cluster, seen, until = seen, number = 0, place = 0 }: Cursor, limit: number): Promise<StagedPage> {
    const values = [seen, until, String(number), String(place), String(limit), String(maxPageBytes)]
    const rows = await this.#database.write(this.#statements.read, values)
    const last = rows.at(-1)
    const hasMore = last !== undefined && last[2] !== 't'
    const next: Cursor = hasMore ? { cluster, seen, until, number: Number(last[0]), place: Number(last[1]) } : { cluster, seen: until }
    return { events: rows.map(stagedEvent), cursor: JSON.stringify(next), hasMore }
  }
}

function stagedEvent(row: Row): StagedEvent {
  const event: EncodedEvent = {
    type: row[4]!,
    schemaVersion: Number(row[5]),
    id: row[6]!,
    source: row[7]!,
    timeMs: Number(row[8]),
    correlationId: row[9]!,
    causationId: row[10]!,
    metadata: row[11] ?? null,
    tags: typeof row[12] === 'string' ? (JSON.parse(row[12]) as readonly string[]) : noTags,
    data: row[13]!,
  }
  return { stream: row[3]!, event }
}

function statementsOf(schema: string) {
  return {
    tick: { name: 'headwater_outbox_tick', text: `SELECT state, cluster, snapshot, is_foreign, first FROM ${schema}.staging_tick($1)` },
    read: {
      name: 'headwater_outbox_read',
      text: `SELECT * FROM ${schema}.read_staged($1::pg_snapshot, $2::pg_snapshot, $3, $4, $5, $6)`,
    },
    // Everything counts as staged just now; what is in the log already is recognised by its id.
    adopt: { name: 'headwater_outbox_adopt', text: `UPDATE ${schema}.staged_order SET xid = pg_current_xact_id()` },
    rotate: { name: 'headwater_outbox_rotate', text: `SELECT ${schema}.rotate_staging()` },
  } satisfies Record<string, Statement>
}
