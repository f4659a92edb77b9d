import type { Metadata, RecordedEvent } from '../message/event.ts'

/** An event as JSON without the names of its fields; 0 stands for what is empty, or the same as its id. */
export type EventRow = readonly [
  type: string,
  data: unknown,
  id: string,
  source: string,
  schemaVersion: number,
  stream: string,
  version: number,
  position: number,
  timeMs: number,
  correlationId: string | 0,
  causationId: string | 0,
  metadata: Metadata | 0,
  tags: readonly string[] | 0,
]

export function toRow(event: RecordedEvent): EventRow {
  const { id, correlationId, causationId, metadata, tags } = event
  return [
    event.type,
    event.data,
    id,
    event.source,
    event.schemaVersion,
    event.stream,
    event.version,
    event.position,
    event.time.getTime(),
    correlationId === id ? 0 : correlationId,
    causationId === id ? 0 : causationId,
    Object.keys(metadata).length === 0 ? 0 : metadata,
    tags.length === 0 ? 0 : tags,
  ]
}

const noMetadata: Metadata = Object.freeze({})
const noTags: readonly string[] = Object.freeze([])

export function fromRow(row: EventRow): RecordedEvent {
  return {
    type: row[0],
    data: row[1],
    id: row[2],
    source: row[3],
    schemaVersion: row[4],
    stream: row[5],
    version: row[6],
    position: row[7],
    time: new Date(row[8]),
    correlationId: row[9] === 0 ? row[2] : row[9],
    causationId: row[10] === 0 ? row[2] : row[10],
    metadata: row[11] === 0 ? noMetadata : row[11],
    tags: row[12] === 0 ? noTags : row[12],
  }
}
