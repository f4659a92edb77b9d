import type {
  AppendCondition,
  Committed,
  EncodedEvent,
  ExpectedVersion,
  InboxEntries,
  Receipt,
  StreamAppend,
  Verdict,
  WriteSet,
} from '../write-set.ts'
import type { Connection, Statement } from './connection.ts'
import { DocumentWriter } from './document-writer.ts'
import { selectFiltered } from './filter.ts'
import { isAnyInInbox, putIntoInbox } from './inbox.ts'
import { fencedBy, moveCheckpoint } from './processors.ts'

type Refused = Exclude<Verdict, Committed>

/**
 * Judges write sets and carries them out, inside a transaction that holds the write lock. Each set is judged completely before anything of
 * it is written, so nothing ever has to be undone, and the sets before it in the batch count as committed.
 */
export class Committer {
  readonly #connection: Connection
  readonly #documents: DocumentWriter
  readonly #head: Statement<readonly [position: number]>
  readonly #hasEvent: Statement<readonly [1]>
  readonly #hasReceipt: Statement<readonly [1]>
  readonly #version: Statement<readonly [version: number]>
  readonly #insertEvent: Statement<never>
  readonly #insertTag: Statement<never>
  readonly #insertReceipt: Statement<never>
  readonly #upsertSnapshot: Statement<never>

  constructor(connection: Connection) {
    this.#connection = connection
    this.#documents = new DocumentWriter(connection)
    this.#head = connection.prepare(`
      SELECT coalesce((SELECT max(position) FROM headwater_events), first_position - 1) FROM headwater_store`)
    this.#hasEvent = connection.prepare('SELECT 1 FROM headwater_events WHERE id = ? AND source = ?')
    this.#hasReceipt = connection.prepare('SELECT 1 FROM headwater_receipts WHERE command_id = ?')
    this.#version = connection.prepare('SELECT version FROM headwater_events WHERE stream = ? ORDER BY version DESC LIMIT 1')
    this.#insertEvent = connection.prepare(`
      INSERT INTO headwater_events (position, stream, version, type, schema_version, id, source, time_ms,
        correlation_id, causation_id, metadata, tags, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    this.#insertTag = connection.prepare('INSERT OR IGNORE INTO headwater_event_tags (tag, position) VALUES (?, ?)')
    this.#insertReceipt = connection.prepare('INSERT INTO headwater_receipts VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
    // A snapshot of another shape is of no use to whoever writes now; of the same shape the newer one is kept.
    this.#upsertSnapshot = connection.prepare(`
      INSERT INTO headwater_snapshots AS old (stream, aggregate, schema_version, version, state) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (stream, aggregate) DO UPDATE
        SET schema_version = excluded.schema_version, version = excluded.version, state = excluded.state
        WHERE old.schema_version <> excluded.schema_version OR old.version <= excluded.version`)
  }

  commit(sets: readonly WriteSet[]): readonly Verdict[] {
    const nowMs = Date.now()
    let head = this.#head.get()![0]
    return sets.map((set) => {
      const verdict = this.#commitSet(set, head, nowMs)
      if (verdict.status === 'committed' && verdict.position > 0) head = verdict.position
      return verdict
    })
  }

  #commitSet(set: WriteSet, head: number, nowMs: number): Verdict {
    const { appends, checkpoint, conditions, documents, inbox, receipt, snapshots } = set
    const known = this.#fence(set) ?? this.#knownMessage(inbox) ?? this.#knownCommand(receipt) ?? this.#knownEvent(appends)
    if (known) return known
    const before = this.#versionsBefore(appends)
    const refused = conflict(appends, before) ?? this.#ruledOut(conditions, head)
    if (refused) return refused

    const committed = this.#append(appends, before, head)
    if (receipt) this.#insertReceiptOf(receipt, set, committed, head, nowMs)
    if (documents) this.#documents.write(documents)
    for (const { stream, aggregate, schemaVersion, version, state } of snapshots ?? [])
      this.#upsertSnapshot.run(stream, aggregate, schemaVersion, version, state)
    if (inbox) putIntoInbox(this.#connection, inbox, nowMs)
    if (checkpoint) moveCheckpoint(this.#connection, checkpoint, nowMs)
    return committed
  }

  #fence({ checkpoint }: WriteSet): Refused | undefined {
    if (!checkpoint) return undefined
    const actualEpoch = fencedBy(this.#connection, checkpoint)
    return actualEpoch === undefined ? undefined : { status: 'fenced', actualEpoch }
  }

  #knownMessage(inbox: InboxEntries | undefined): Refused | undefined {
    return inbox && isAnyInInbox(this.#connection, inbox) ? { status: 'in-inbox' } : undefined
  }

  #knownCommand(receipt: Receipt | undefined): Refused | undefined {
    return receipt && this.#hasReceipt.get(receipt.commandId) ? { status: 'receipt-exists' } : undefined
  }

  #knownEvent(appends: readonly StreamAppend[]): Refused | undefined {
    for (const { events } of appends)
      for (const { id, source } of events) if (this.#hasEvent.get(id, source)) return { status: 'duplicate-id' }
    return undefined
  }

  /** The version of each append's stream before it; where a stream stands here more than once, the appends before count. */
  #versionsBefore(appends: readonly StreamAppend[]): readonly number[] {
    const versions = new Map<string, number>()
    return appends.map(({ stream, events }) => {
      const version = versions.get(stream) ?? this.#version.get(stream)?.[0] ?? 0
      versions.set(stream, version + events.length)
      return version
    })
  }

  #ruledOut(conditions: readonly AppendCondition[] = [], head: number): Refused | undefined {
    for (const { query, after } of conditions) {
      if (after >= head) continue
      const { text, values } = selectFiltered('e.position', { query }, false)
      const row = this.#connection.cached<readonly [position: number]>(text).get(after, head, 1, ...values)
      if (row) return { status: 'condition-failed', position: row[0] }
    }
    return undefined
  }

  #append(appends: readonly StreamAppend[], before: readonly number[], head: number): Committed {
    let position = head
    const versions = appends.map(({ stream, events }, index) => {
      let version = before[index]!
      for (const event of events) this.#insert(event, stream, ++version, ++position)
      return version
    })
    return position === head
      ? { status: 'committed', firstPosition: 0, position: 0, versions }
      : { status: 'committed', firstPosition: head + 1, position, versions }
  }

  #insert(event: EncodedEvent, stream: string, version: number, position: number): void {
    const { tags } = event
    this.#insertEvent.run(
      position,
      stream,
      version,
      event.type,
      event.schemaVersion,
      event.id,
      event.source,
      event.timeMs,
      event.correlationId,
      event.causationId,
      event.metadata,
      tags.length === 0 ? null : JSON.stringify(tags),
      event.data,
    )
    for (const tag of tags) this.#insertTag.run(tag, position)
  }

  #insertReceiptOf(receipt: Receipt, { appends }: WriteSet, committed: Committed, head: number, nowMs: number): void {
    const eventCount = appends.reduce((sum, { events }) => sum + events.length, 0)
    this.#insertReceipt.run(
      receipt.commandId,
      receipt.target,
      receipt.payloadHash,
      receipt.version,
      committed.firstPosition || head,
      committed.position || head,
      eventCount,
      nowMs,
    )
  }
}

function conflict(appends: readonly StreamAppend[], before: readonly number[]): Refused | undefined {
  for (const [index, { stream, expectedVersion: expected }] of appends.entries()) {
    const actual = before[index]!
    if (!isMet(expected, actual)) return { status: 'version-conflict', stream, expected, actual }
  }
  return undefined
}

function isMet(expected: ExpectedVersion, actual: number): boolean {
  switch (expected) {
    case 'any':
      return true
    case 'no-stream':
      return actual === 0
    case 'stream-exists':
      return actual > 0
    default:
      return actual === expected
  }
}
