import type { RecordedEvent } from '../message/event.ts'
import type { Column } from './output.ts'

const version: Column<RecordedEvent> = { title: 'version', value: (event) => event.version }
const position: Column<RecordedEvent> = { title: 'position', value: (event) => event.position }
const time: Column<RecordedEvent> = { title: 'time', value: (event) => event.time.toISOString() }
const stream: Column<RecordedEvent> = { title: 'stream', value: (event) => event.stream }
const type: Column<RecordedEvent> = {
  title: 'type',
  value: (event) => (event.schemaVersion === 1 ? event.type : `${event.type} (v${event.schemaVersion})`),
}
const data: Column<RecordedEvent> = { title: 'data', value: (event) => JSON.stringify(event.data) }

export const logColumns: readonly Column<RecordedEvent>[] = [position, time, stream, version, type, data]
export const streamColumns: readonly Column<RecordedEvent>[] = [version, position, time, type, data]
