import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { CloudEvent, HTTP } from 'cloudevents'
import fc from 'fast-check'
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { OutgoingMessage } from '../../../src/transport/port.ts'
import { decode } from '../../../src/transport/sqs/decode.ts'
import { encode } from '../../../src/transport/sqs/encode.ts'

const attributes = {
  specversion: '1.0',
  id: 'e-1',
  source: '/orders',
  type: 'OrderPlaced',
  subject: 'order-1',
  sequence: '0000000000000012',
}

function outgoing(given: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: 'id-1', key: 'k', attributes: {}, headers: {}, body: Buffer.from('{}'), ...given }
}

/** As the service gives out what was sent to it. */
function received(message: OutgoingMessage): Message {
  const { MessageBody, MessageAttributes, MessageGroupId, MessageDeduplicationId } = encode(message, true, 0).entry
  const Attributes = { MessageGroupId: MessageGroupId!, MessageDeduplicationId: MessageDeduplicationId!, SentTimestamp: '1795273081225' }
  return { MessageId: 'broker-1', Body: MessageBody!, MessageAttributes: MessageAttributes!, Attributes }
}

function foreign(body: string, given: Partial<Message> = {}, texts: Readonly<Record<string, string>> = {}): Message {
  const entries = Object.entries(texts).map(([name, StringValue]): [string, MessageAttributeValue] => [
    name,
    { DataType: 'String', StringValue },
  ])
  return { MessageId: 'broker-1', Body: body, MessageAttributes: Object.fromEntries(entries), ...given }
}

describe('what this adapter sends', () => {
  const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('', '\uFFFE', '\u0000', '"\\', '🦊'))
  const wellFormed = text.map((value) => value.toWellFormed())

  test('comes back as it was, whatever it is', () => {
    const body = fc.oneof(
      fc.uint8Array(),
      fc.json().map((json) => Buffer.from(` ${json}\n`)),
      wellFormed.map((value) => Buffer.from(value)),
    )
    const type = fc.constantFrom('application/json', 'application/vnd.x+json; charset=utf-8', 'text/plain', 'image/png', '')
    const name = fc.oneof(fc.stringMatching(/^[a-z0-9]{1,20}$/), wellFormed)
    const message = fc.record({
      id: wellFormed,
      key: fc.option(wellFormed, { nil: undefined }),
      attributes: fc.oneof(
        fc.constant({}),
        fc.dictionary(fc.stringMatching(/^[a-z0-9]{1,20}$/), wellFormed).map((extensions) => ({ ...extensions, ...attributes })),
      ),
      headers: fc.oneof(
        fc.dictionary(name, wellFormed, { maxKeys: 15 }),
        type.map((value) => ({ 'content-type': value, tenant: 'a' })),
      ),
      body,
    })
    fc.assert(
      fc.property(message, (sent) => {
        const { id, key, body: bytes, ...rest } = decode(received(sent), 'topic')
        expect({ id, key, body: Buffer.from(bytes), attributes: { ...rest.attributes }, headers: { ...rest.headers } }).toEqual({
          ...sent,
          body: Buffer.from(sent.body),
          attributes: { ...sent.attributes },
          headers: { ...sent.headers },
        })
      }),
      { numRuns: 500 },
    )
  })

  test('holds nothing that SQS does not take', () => {
    const headers = Object.fromEntries(Array.from({ length: 30 }, (_, index) => [`header-${index}`, '\uFFFF']))
    const { entry } = encode(
      outgoing({ id: 'a b', key: 'x'.repeat(300), attributes: { ...attributes, subject: '\uFFFE\u0001' }, headers }),
      true,
      0,
    )
    expect(entry.MessageBody).toMatch(/^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD]+$/)
    expect(entry.MessageGroupId).toMatch(/^[!-~]{1,128}$/)
    expect(entry.MessageDeduplicationId).toMatch(/^[!-~]{1,128}$/)
    expect(Object.keys(entry.MessageAttributes!).length).toBeLessThanOrEqual(10)
    for (const { StringValue } of Object.values(entry.MessageAttributes!))
      expect(StringValue).toMatch(/^[\t\n\r\u0020-\uD7FF\uE000-\uFFFD]+$/)
  })

  test('is a CloudEvent in structured mode, which the library of the CloudEvents project reads', () => {
    const data = { total: 12.5, items: ['żółć'] }
    const headers = { 'content-type': 'application/json', traceparent: '00-a-b-01' }
    const { entry } = encode(outgoing({ attributes, headers, body: Buffer.from(JSON.stringify(data)) }), true, 0)
    expect(entry.MessageAttributes).toMatchObject({
      'content-type': { StringValue: 'application/cloudevents+json' },
      traceparent: { StringValue: '00-a-b-01' },
    })
    const event = HTTP.toEvent({ headers: { 'content-type': 'application/cloudevents+json' }, body: entry.MessageBody! })
    expect(event).toMatchObject({ ...attributes, datacontenttype: 'application/json', data })
  })

  test.each([
    ['text', 'text/plain', Buffer.from('a "text"'), 'a "text"'],
    ['bytes', 'image/png', Buffer.from([0xff, 0x00]), Buffer.from([0xff, 0x00])],
  ])('carries %s as CloudEvents say', (_, type, body, data) => {
    const { entry } = encode(outgoing({ attributes, headers: { 'content-type': type }, body }), true, 0)
    const event = HTTP.toEvent({
      headers: { 'content-type': 'application/cloudevents+json' },
      body: entry.MessageBody!,
    }) as CloudEvent<unknown>
    const read = event.data_base64 === undefined ? event.data : Buffer.from(event.data_base64, 'base64')
    expect(read).toEqual(data)
  })

  test('is counted as SQS counts', () => {
    const { entry, bytes } = encode(outgoing({ body: Buffer.from('żółć'), headers: { name: 'żółć' } }), true, 0)
    const frame = entry.MessageAttributes!['headwater']!.StringValue!
    expect(bytes).toBe(8 + ('name'.length + 'String'.length + 8) + ('headwater'.length + 'String'.length + frame.length))
  })
})

describe('what other programs send', () => {
  test('is read with its attributes as headers, its group as key and its deduplication id as id', () => {
    const Attributes = { MessageGroupId: 'group-1', MessageDeduplicationId: 'dedupe-1', SentTimestamp: '1795273081225' }
    const message = decode(foreign('{"a":1}', { Attributes }, { tenant: 'acme', 'content-type': 'application/json' }), 'topic')
    expect(message).toEqual({
      id: 'dedupe-1',
      key: 'group-1',
      topic: 'topic',
      partition: undefined,
      offset: undefined,
      timeMs: 1_795_273_081_225,
      attributes: {},
      headers: { tenant: 'acme', 'content-type': 'application/json' },
      body: Buffer.from('{"a":1}'),
    })
  })

  test('has the id that SQS gave it where the producer gave none: a hash of the content is no identity', () => {
    const hash = createHash('sha256').update('same').digest('hex')
    expect(decode(foreign('same', { Attributes: { MessageDeduplicationId: hash } }), 'topic').id).toBe('broker-1')
    expect(decode(foreign('other', { Attributes: { MessageDeduplicationId: hash } }), 'topic').id).toBe(hash)
    expect(decode(foreign('same'), 'topic').id).toBe('broker-1')
  })

  test('can be a CloudEvent in binary mode', () => {
    const message = decode(foreign('{}', {}, { 'ce-id': 'e-1', ce_type: 'T', 'ce-specversion': '1.0', tenant: 'acme' }), 'topic')
    expect(message.attributes).toEqual({ id: 'e-1', type: 'T', specversion: '1.0' })
    expect(message.headers).toEqual({ tenant: 'acme' })
  })

  test('can be a CloudEvent in structured mode, which is left to the reader of CloudEvents', () => {
    const event = new CloudEvent({ ...attributes, data: { a: 1 } })
    const { body, headers } = HTTP.structured(event)
    const type = String(headers['content-type'])
    const message = decode(foreign(String(body), {}, { 'content-type': type }), 'topic')
    expect(message).toMatchObject({ attributes: {}, headers: { 'content-type': type } })
    expect(JSON.parse(Buffer.from(message.body).toString())).toMatchObject(attributes)
  })

  test.each([
    ['no JSON', 'what?'],
    ['JSON of something else', '[1]'],
    ['null', 'null'],
    ['a place that is not there', '{"id":"x","event":{"form":"json","at":99,"isTyped":true}}'],
    ['bytes that are not there', '{"id":"x","body":"binary"}'],
    ['an unknown form', '{"id":"x","event":{"form":"xml","at":3,"isTyped":true}}'],
  ])('is taken for a stranger’s when its frame is %s', (_, frame) => {
    const message = decode(foreign('{"a":1}', {}, { headwater: frame }), 'topic')
    expect(message).toMatchObject({ id: 'broker-1', attributes: {}, headers: {}, body: Buffer.from('{"a":1}') })
  })
})
