import fc from 'fast-check'
import { expect, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { toCloudEvent } from '../../src/message/cloud-event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import type { ReceivedMessage } from '../../src/transport/port.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { decodeMessage, encodeMessage } from '../../src/transport/wire.ts'

const OrderPlaced = defineEvent('OrderPlaced', jsonSchema<object>({ type: 'object' }))
const topic = defineTopic('orders', { events: [OrderPlaced] })

const recorded: RecordedEvent = {
  type: 'OrderPlaced',
  data: { orderId: 'o-1', total: 12.5 },
  id: 'e-1',
  source: 'shop',
  schemaVersion: 2,
  stream: 'order:o-1',
  version: 3,
  position: 77,
  time: new Date('2026-11-21T12:34:56.789Z'),
  correlationId: 'c-1',
  causationId: 'c-2',
  metadata: {},
  tags: [],
}

function received(event: RecordedEvent): ReceivedMessage {
  return { ...encodeMessage(event, topic), topic: 'orders', partition: 0, offset: 4, timeMs: 1_000 }
}

/** What comes of it, or what is wrong with it, where its attributes and its data are one JSON text: read by way of a general CloudEvent. */
function readStructured(message: ReceivedMessage): unknown {
  const data: unknown = JSON.parse(Buffer.from(message.body).toString() || 'null')
  const body = Buffer.from(JSON.stringify({ ...message.attributes, data }))
  return outcomeOf({ ...message, attributes: {}, headers: { 'content-type': 'application/cloudevents+json' }, body })
}

function outcomeOf(message: ReceivedMessage): unknown {
  try {
    return decodeMessage(message, 5, topic)
  } catch (error) {
    return String(error)
  }
}

test('an event comes back as it was, with its place in the topic as its position', () => {
  expect(decodeMessage(received(recorded), 5, topic)).toEqual({ ...recorded, position: 5 })
})

test('metadata, tags and times that no timestamp can express come back too', () => {
  for (const special of [{ metadata: { tenant: 'a', 'a b': [1] } }, { tags: ['vip'] }, { time: new Date(-62_200_000_000_000) }]) {
    const event = { ...recorded, ...special }
    expect(decodeMessage(received(event), 5, topic)).toEqual({ ...event, position: 5 })
  }
})

test('an empty body is null', () => {
  expect(decodeMessage({ ...received(recorded), body: Buffer.alloc(0) }, 5, topic)).toMatchObject({ data: null, version: 3 })
})

const names = [...Object.keys(received(recorded).attributes), 'dataschema', 'traceparent', 'headwater']
const oddTexts = [
  '',
  '0',
  '1',
  '-1',
  '01',
  '1.0',
  '0000000000000009',
  '00000000000000009',
  '2026-02-30T00:00:00.000Z',
  '2026-11-21T12:00:00+02:00',
  '{"tags":["x"]}',
  'x',
]
const text = fc.oneof(fc.constantFrom(...oddTexts), fc.string())

test('whatever its attributes are, a message says the same in binary and in structured mode', () => {
  const message = received(recorded)
  const change = fc.tuple(fc.constantFrom(...names), fc.option(text, { nil: undefined }))
  fc.assert(
    fc.property(fc.array(change, { maxLength: 3 }), (changes) => {
      const attributes: Record<string, string> = { ...message.attributes }
      for (const [name, value] of changes) {
        if (value !== undefined) attributes[name] = value
        else if (name !== 'specversion') delete attributes[name]
      }
      const changed = { ...message, attributes }
      expect(outcomeOf(changed)).toEqual(readStructured(changed))
    }),
    { numRuns: 2_000 },
  )
})

test('the attributes of an event are those of its CloudEvent, in the same order', () => {
  const name = fc.string({ minLength: 1 })
  const event = fc.record({
    type: name,
    id: name,
    source: name,
    stream: name,
    schemaVersion: fc.integer({ min: 1, max: 1_000 }),
    version: fc.integer({ min: 1 }),
    position: fc.integer({ min: 1 }),
    time: fc.date({ noInvalidDate: true }),
    correlationId: name,
    causationId: name,
    metadata: fc.oneof(fc.constant({}), fc.constant({ tenant: 'a' }), fc.constant({ dataschema: 'x:y', 'a b': 1 })),
    tags: fc.oneof(fc.constant([]), fc.constant(['vip'])),
    data: fc.jsonValue(),
  })
  fc.assert(
    fc.property(event, (one) => {
      const { data: _, datacontenttype, ...attributes } = toCloudEvent(one)
      const { attributes: written, headers } = encodeMessage(one, topic)
      expect(Object.entries(written)).toEqual(Object.entries(attributes).map(([attribute, value]) => [attribute, String(value)]))
      expect(headers).toEqual({ 'content-type': datacontenttype })
    }),
    { numRuns: 500 },
  )
})
