import type { Metadata, RecordedEvent } from '../../message/event.ts'

/**
 * The columns of `EventRow`, of the table `headwater_events` under the name `e`. An id that stands in the row already (what started an event is often what led
 * to it, or the event itself) is not read again.
 */
export const eventColumns: string = `e.position, e.stream, e.version, e.type, e.schema_version, e.id, e.source, e.time_ms,
  nullif(e.correlation_id, e.id), nullif(e.causation_id, e.correlation_id), e.metadata, e.tags, e.data`

export type EventRow = readonly [
  position: number,
  stream: string,
  version: number,
  type: string,
  schemaVersion: number,
  id: string,
  source: string,
  timeMs: number,
  /** Null: the event's own id. */
  correlationId: string | null,
  /** Null: the correlation id. */
  causationId: string | null,
  metadata: string | null,
  tags: string | null,
  data: string,
]

// Shared, since most events have neither; frozen, since they are.
const noMetadata: Metadata = Object.freeze({})
const noTags: readonly string[] = Object.freeze([])

/** Always the same properties in the same order, so that code which reads events meets one shape of object only. */
export function toEvent(row: EventRow): RecordedEvent {
  const id = row[5]
  const correlationId = row[8] ?? id
  return {
    type: row[3],
    data: JSON.parse(row[12]),
    id,
    source: row[6],
    schemaVersion: row[4],
    stream: row[1],
    version: row[2],
    position: row[0],
    time: new Date(row[7]),
    correlationId,
    causationId: row[9] ?? correlationId,
    metadata: row[10] === null ? noMetadata : (JSON.parse(row[10]) as Metadata),
    tags: row[11] === null ? noTags : (JSON.parse(row[11]) as readonly string[]),
  }
}
