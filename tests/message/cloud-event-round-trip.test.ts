import fc from 'fast-check'
import { expect, test } from 'vitest'
import { fromCloudEvent, toCloudEvent } from '../../src/message/cloud-event.ts'
import type { ImportedEvent } from '../../src/message/cloud-event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'

const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
const metadataName = fc.oneof(
  fc.stringMatching(/^[a-z0-9]{1,30}$/),
  fc.constantFrom('id', 'specversion', 'data', 'datacontenttype', 'dataschema', 'sequence', 'position', 'schemaversion', 'headwater'),
  fc.constantFrom('data_base64', 'correlationid', 'causationid', 'subject', 'time', '__proto__', 'constructor', 'traceparent'),
  fc.string(),
)
const metadataValue = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.boolean(),
  fc.integer(),
  fc.constantFrom('', 'application/json', 'text/plain', '0000000000000001', 2 ** 31, -(2 ** 31), 2 ** 31 - 1),
  fc.jsonValue(),
)
/** As they come back from a store: JSON, and nothing that JSON cannot tell apart. */
const json = fc.jsonValue().map((value): unknown => JSON.parse(JSON.stringify(value)))
const metadataObject = fc
  .array(fc.tuple(metadataName, metadataValue), { maxLength: 6 })
  .map((entries): Record<string, unknown> => JSON.parse(JSON.stringify(Object.fromEntries(entries))))

const recordedEvent: fc.Arbitrary<RecordedEvent> = fc.record({
  id: name,
  source: name,
  type: name,
  schemaVersion: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  stream: name,
  version: fc.maxSafeNat().map((version) => version + 1),
  position: fc.maxSafeNat(),
  time: fc.oneof(fc.date({ noInvalidDate: true }), fc.date({ noInvalidDate: true, min: new Date(0), max: new Date(4e12) })),
  correlationId: name,
  causationId: name,
  metadata: metadataObject,
  tags: fc.array(name, { maxLength: 4 }),
  data: json,
})

const inWriting = (event: RecordedEvent): string => JSON.stringify(toCloudEvent(event))

/** The event as a store would return it after the import. */
function record({ stream = 'none', event }: ImportedEvent): RecordedEvent {
  const {
    id = '',
    source = '',
    schemaVersion = 1,
    time = new Date(0),
    correlationId = id,
    causationId = id,
    metadata = {},
    tags = [],
  } = event
  return { ...event, id, source, schemaVersion, time, correlationId, causationId, metadata, tags, stream, version: 1, position: 1 }
}

test('an event that goes out and comes in again is the same', () => {
  fc.assert(
    fc.property(recordedEvent, (event) => {
      const again = fromCloudEvent(JSON.parse(inWriting(event)))
      expect({ ...record(again), version: event.version, position: event.position }).toEqual(event)
      expect(JSON.stringify(again.event.data)).toBe(JSON.stringify(event.data))
      expect(JSON.stringify(Object.entries(again.event.metadata ?? {}).toSorted(byName))).toBe(
        JSON.stringify(Object.entries(event.metadata).toSorted(byName)),
      )
    }),
    { numRuns: 2_000 },
  )
})

test('what goes out has only attributes that CloudEvents allows', () => {
  const unfit = /\p{Cc}|\p{Cs}|\p{Noncharacter_Code_Point}/u
  fc.assert(
    fc.property(recordedEvent, (event) => {
      const { data: _, ...attributes } = JSON.parse(inWriting(event)) as Record<string, unknown>
      for (const [attribute, value] of Object.entries(attributes)) {
        expect(attribute).toMatch(/^[a-z0-9]+$/)
        if (typeof value === 'string') expect(value).not.toMatch(unfit)
        else expect(typeof value === 'boolean' || (Number.isInteger(value) && Math.abs(value as number) <= 2 ** 31)).toBe(true)
      }
    }),
    { numRuns: 2_000 },
  )
})

test('a CloudEvent of somebody else that comes in, goes out and comes in again is the same event', () => {
  const required = fc.record({ specversion: fc.constant('1.0'), id: name, source: name, type: name })
  const known = fc.record(
    {
      subject: name,
      time: fc.constantFrom('1996-12-19T16:39:57-08:00', '2026-11-21T12:00:00.5Z'),
      datacontenttype: name,
      dataschema: name,
    },
    { requiredKeys: [] },
  )
  const reserved = new Set(['data_base64', 'headwater', 'schemaversion', 'correlationid', 'causationid'])
  const extensions = metadataObject.map((entries) => Object.fromEntries(Object.entries(entries).filter(([key]) => !reserved.has(key))))
  fc.assert(
    fc.property(extensions, required, known, json, (others, must, may, data) => {
      const first = fromCloudEvent({ ...others, time: null, datacontenttype: null, dataschema: null, subject: null, ...must, ...may, data })
      const second = fromCloudEvent(JSON.parse(inWriting(record(first))))
      expect(record(second)).toEqual(record(first))
    }),
    { numRuns: 1_000 },
  )
})

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
