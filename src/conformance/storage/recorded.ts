import assert from 'node:assert/strict'
import type { RecordedEvent } from '../../message/event.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { EncodedEvent } from '../../storage/write-set.ts'

export interface Place {
  readonly stream: string
  readonly version: number
  readonly position: number
}

/** The event as it must be read back from its place. */
export function recorded(event: EncodedEvent, { stream, version, position }: Place): RecordedEvent {
  return {
    type: event.type,
    data: JSON.parse(event.data) as unknown,
    id: event.id,
    source: event.source,
    schemaVersion: event.schemaVersion,
    stream,
    version,
    position,
    time: new Date(event.timeMs),
    correlationId: event.correlationId,
    causationId: event.causationId,
    metadata: event.metadata === null ? {} : (JSON.parse(event.metadata) as RecordedEvent['metadata']),
    tags: event.tags,
  }
}

/** Compares what the port names; a driver's events may be objects of any kind. */
export function assertRecorded(actual: readonly RecordedEvent[], expected: readonly RecordedEvent[], message?: string): void {
  assert.deepEqual(actual.map(fieldsOf), expected.map(fieldsOf), message)
}

function fieldsOf(event: RecordedEvent): RecordedEvent {
  const { type, data, id, source, schemaVersion, stream, version, position, time, correlationId, causationId, metadata, tags } = event
  return { type, data, id, source, schemaVersion, stream, version, position, time, correlationId, causationId, metadata, tags: [...tags] }
}

/** The whole log, in pages. */
export async function wholeLog(driver: StorageDriver, pageSize = 5_000): Promise<readonly RecordedEvent[]> {
  const log: RecordedEvent[] = []
  for (;;) {
    const page = await driver.readLog({ after: log.at(-1)?.position ?? 0, limit: pageSize })
    log.push(...page)
    if (page.length < pageSize) return log
  }
}

export async function wholeStream(driver: StorageDriver, stream: string): Promise<readonly RecordedEvent[]> {
  return driver.readStream({ stream, direction: 'forwards', limit: 100_000 })
}

/** Positions of the log are 1, 2, 3 …, and so are the versions of each stream, in the same order. */
export function assertDense(log: readonly RecordedEvent[]): void {
  const versions = new Map<string, number>()
  for (const [index, { position, stream, version }] of log.entries()) {
    assert.equal(position, index + 1, `position ${index + 1} of the log`)
    const expected = (versions.get(stream) ?? 0) + 1
    assert.equal(version, expected, `version of ${stream} at position ${position}`)
    versions.set(stream, version)
  }
}
