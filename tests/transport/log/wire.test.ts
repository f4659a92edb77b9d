import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { RecordedEvent } from '../../../src/message/event.ts'
import { encodeEvent } from '../../../src/storage/encode.ts'
import { defaultLimits } from '../../../src/storage/encode.ts'
import { categoryOf } from '../../../src/storage/stream-name.ts'
import type { OutgoingMessage } from '../../../src/transport/port.ts'
import { fromEvent, sizeOf, toEvent } from '../../../src/transport/log/wire.ts'

/** Texts that a store takes; others are refused before. */
const text = fc.string({ unit: 'grapheme', maxLength: 150 }).filter((one) => one.isWellFormed() && !one.includes('\u0000'))
const texts = fc.dictionary(text, text, { maxKeys: 5 }).map((one) => ({ ...one }))
const body = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  text.map((one) => Buffer.from(one)),
)
const message: fc.Arbitrary<OutgoingMessage> = fc.record({
  id: text.filter((one) => one !== ''),
  key: fc.option(text, { nil: undefined }),
  attributes: texts,
  headers: texts,
  body,
})

/** What comes back from a store that was given the message. */
function stored(given: OutgoingMessage): RecordedEvent {
  const { stream, event } = toEvent('topic', given)
  const encoded = encodeEvent(event, { source: 'unused', nowMs: 1_000 }, defaultLimits)
  const data: unknown = JSON.parse(encoded.data)
  const metadata = JSON.parse(encoded.metadata ?? '{}') as Record<string, unknown>
  return { ...encoded, data, metadata, stream, version: 1, position: 7, time: new Date(encoded.timeMs) }
}

test('every message comes back as it was, and its event is one that a store takes', () => {
  fc.assert(
    fc.property(message, (given) => {
      const event = stored(given)
      expect(categoryOf(event.stream)).toBe('topic')
      const { body: bytes, ...others } = fromEvent('topic', event)
      expect(Buffer.from(bytes).equals(Buffer.from(given.body))).toBe(true)
      const { id, key, attributes, headers } = given
      expect(others).toEqual({ id, key, attributes, headers, topic: 'topic', partition: 0, offset: 7, timeMs: 1_000 })
    }),
    { numRuns: 1_000 },
  )
})

test('a body takes at most a third more room in the log than on the wire', () => {
  fc.assert(
    fc.property(body, (bytes) => {
      const json = JSON.stringify(toEvent('t', { id: 'i', key: undefined, attributes: {}, headers: {}, body: bytes }).event.data)
      expect(Buffer.byteLength(json)).toBeLessThanOrEqual((bytes.length * 4) / 3 + 40)
    }),
  )
})

test('keys that differ are streams that differ', () => {
  const keys = [undefined, '', 'a', 'a\n', 'b'.repeat(100), 'b'.repeat(101), 'b'.repeat(102)]
  const streams = keys.map((key) => toEvent('t', { id: 'i', key, attributes: {}, headers: {}, body: Buffer.alloc(0) }).stream)
  expect(new Set(streams).size).toBe(keys.length)
})

test('the size of a message is that of everything its sender chooses, in bytes', () => {
  const given = { id: 'id', key: 'ż', attributes: { type: 'T' }, headers: { ä: 'ö' }, body: Buffer.from('abc') }
  expect(sizeOf(given)).toBe(2 + 2 + 5 + 4 + 3)
})
