import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RecordedEvent } from '../../message/event.ts'
import type { LoadedStream, LogFilter, LogRange, LogState, StoredReceipt, StreamLoad, StreamRange } from '../port.ts'
import type { MessageIdentity } from '../write-set.ts'
import type { Connection, Statement } from './connection.ts'
import { limitTo } from './connection.ts'
import { selectFiltered } from './filter.ts'
import type { EventRow } from './rows.ts'
import { eventColumns, toEvent } from './rows.ts'

// How much of the log one step of a filtered read may cover: few positions are walked, more are left to the indexes, and a query, of which few
// events are part, always; a step that takes long is followed by shorter ones, since the event loop stands still during each.
const walkedPositions = 1_000
const firstStepPositions = 50_000
const slowStepMs = 10

type ReceiptRow = readonly [
  target: string,
  payloadHash: string,
  version: number,
  firstPosition: number,
  position: number,
  eventCount: number,
]

/** Reads events, receipts and the state of the log. */
export class EventReader {
  readonly #connection: Connection
  readonly #log: Statement<EventRow>
  readonly #forwards: Statement<EventRow>
  readonly #backwards: Statement<EventRow>
  readonly #byIdentity: Statement<EventRow>
  readonly #snapshot: Statement<readonly [version: number, state: string]>
  readonly #receipt: Statement<ReceiptRow>
  readonly #state: Statement<readonly [id: string, head: number, firstPosition: number]>

  constructor(connection: Connection) {
    this.#connection = connection
    const select = `SELECT ${eventColumns} FROM headwater_events e WHERE`
    this.#log = connection.prepare(`${select} e.position > ? AND e.position <= ? ORDER BY e.position ${limitTo('?')}`)
    const range = `${select} e.stream = ? AND e.version BETWEEN ? AND ? AND +e.time_ms <= ? ORDER BY e.version`
    this.#forwards = connection.prepare(`${range} ${limitTo('?')}`)
    this.#backwards = connection.prepare(`${range} DESC ${limitTo('?')}`)
    this.#byIdentity = connection.prepare(`${select} e.id = ? AND e.source = ?`)
    // One of a stream that is shorter now (the store was restored from a backup) would be of a future that never happened.
    this.#snapshot = connection.prepare(`
      SELECT version, state FROM headwater_snapshots s WHERE stream = ? AND aggregate = ? AND schema_version = ?
        AND version <= (SELECT max(version) FROM headwater_events e WHERE e.stream = s.stream)`)
    this.#receipt = connection.prepare(`
      SELECT target, payload_hash, version, first_position, position, event_count FROM headwater_receipts WHERE command_id = ?`)
    this.#state = connection.prepare(`
      SELECT log_id, coalesce((SELECT max(position) FROM headwater_events), first_position - 1), first_position FROM headwater_store`)
  }

  readStream({ stream, direction, fromVersion, toVersion, untilMs, limit }: StreamRange): readonly RecordedEvent[] {
    const until = untilMs ?? Number.MAX_SAFE_INTEGER
    const last = Number.MAX_SAFE_INTEGER
    const rows =
      direction === 'forwards'
        ? this.#forwards.all(stream, fromVersion ?? 1, toVersion ?? last, until, limit)
        : this.#backwards.all(stream, toVersion ?? 1, fromVersion ?? last, until, limit)
    return rows.map(toEvent)
  }

  loadStream({ stream, snapshot: wanted, limit }: StreamLoad): LoadedStream {
    const row = wanted && this.#snapshot.get(stream, wanted.aggregate, wanted.schemaVersion)
    const snapshot = row && { version: row[0], state: JSON.parse(row[1]) as unknown }
    const events = this.readStream({ stream, direction: 'forwards', fromVersion: (snapshot?.version ?? 0) + 1, limit })
    return { snapshot, events }
  }

  /** One page. A filtered one is searched for step by step, and other work gets its turn in between. */
  async readLog({ after, upTo, limit, ...filter }: LogRange): Promise<readonly RecordedEvent[]> {
    if (!isFiltered(filter)) return this.#log.all(after, upTo ?? Number.MAX_SAFE_INTEGER, limit).map(toEvent)
    const last = Math.min(upTo ?? Infinity, this.log().head)
    const events: RecordedEvent[] = []
    let from = after
    let step = firstStepPositions
    while (from < last && events.length < limit) {
      if (from > after) await nextTurn()
      const startedMs = performance.now()
      const to = Math.min(from + step, last)
      const { text, values } = selectFiltered(eventColumns, filter, !filter.query && to - from <= walkedPositions)
      for (const row of this.#connection.cached<EventRow>(text).all(from, to, limit - events.length, ...values)) events.push(toEvent(row))
      from = to
      step = performance.now() - startedMs < slowStepMs ? step * 2 : Math.max(walkedPositions, Math.floor(step / 2))
    }
    return events
  }

  findEvents(identities: readonly MessageIdentity[]): readonly RecordedEvent[] {
    const events: RecordedEvent[] = []
    for (const { id, source } of identities) {
      const row = this.#byIdentity.get(id, source)
      if (row) events.push(toEvent(row))
    }
    return events
  }

  findReceipt(commandId: string): StoredReceipt | undefined {
    const row = this.#receipt.get(commandId)
    if (!row) return undefined
    const [target, payloadHash, version, firstPosition, position, eventCount] = row
    return { commandId, target, payloadHash, version, firstPosition, position, eventCount }
  }

  log(): LogState {
    const [id, head, firstPosition] = this.#state.get()!
    return { id, head, firstPosition }
  }
}

function isFiltered({ types, categories, correlationId, query }: LogFilter): boolean {
  return types !== undefined || categories !== undefined || correlationId !== undefined || query !== undefined
}
