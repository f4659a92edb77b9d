import type { EncodedEvent, ExpectedVersion, WriteSet } from '../../../src/storage/write-set.ts'

export function event(id: string, given: Partial<EncodedEvent> = {}): EncodedEvent {
  return {
    id,
    source: 'tests',
    type: 'Happened',
    schemaVersion: 1,
    timeMs: Date.now(),
    correlationId: id,
    causationId: id,
    data: JSON.stringify({ id }),
    metadata: null,
    tags: [],
    ...given,
  }
}

export function appending(stream: string, ids: readonly string[], expectedVersion: ExpectedVersion = 'any'): WriteSet {
  return { appends: [{ stream, expectedVersion, events: ids.map((id) => event(id)) }] }
}
