import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import type { OutgoingMessage, ReceivedMessage } from '../../transport/port.ts'
import type { TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { message, publishAll } from './messages.ts'

export const contentFidelity: TransportBehaviourGroup = {
  group: 'content',
  behaviours: {
    async 'bodies come back to the byte: empty, binary, text'(transport) {
      const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
      const bodies = [
        Buffer.alloc(0),
        Buffer.from([0]),
        everyByte,
        randomBytes(10_000),
        Buffer.from([0xc3, 0x28, 0xff, 0xfe]),
        Buffer.from('{"text":"żółć 🦊 \\u0000"}'),
        Buffer.from('\n\r\n\r\n'),
      ]
      const sent = bodies.map((body) => message('', { body }))
      await assertUnchanged(transport, sent)
    },

    async 'a view into a larger buffer is sent as what it shows'(transport) {
      const larger = new Uint8Array(64).map((_, index) => index)
      await assertUnchanged(transport, [message('', { body: larger.subarray(10, 20) })])
    },

    async 'the attributes of a CloudEvent come back apart from headers'(transport) {
      const id = randomUUID()
      await assertUnchanged(transport, [
        message('{}', {
          id,
          key: 'order-1',
          attributes: {
            specversion: '1.0',
            id,
            source: '/orders?of=żółć&x=%20y',
            type: 'com.example.order.placed',
            time: '2026-11-21T14:00:00.123Z',
            subject: 'zażółć "gęślą" jaźń, 50 % 🦊',
            dataschema: 'https://example.com/schemas/order#v2',
            correlationid: 'a:b;c=d',
            sequence: '0000012',
          },
          headers: { 'content-type': 'application/json; charset=utf-8', 'x-tenant': 'acme' },
        }),
        message('plain', { headers: { 'content-type': 'text/plain' } }),
      ])
    },

    async 'neither attributes nor headers are none'(transport) {
      const [received] = await assertUnchanged(transport, [message('bare')])
      assert.deepEqual([received!.attributes, received!.headers], [{}, {}])
    },

    async 'header values may be any text'(transport) {
      const values = [
        'żółć 🦊 日本語',
        '',
        ' spaces around ',
        'a:b, c;d="e"',
        'line\nbreak\r\nand\ttab',
        '%41%C5%BC',
        '=?utf-8?Q?x?=',
        '{"a":1}',
      ]
      const sent = values.map((value) => message('v', { headers: { value, other: 'plain' } }))
      await assertUnchanged(transport, [...sent, message('long', { headers: { long: 'x'.repeat(4_000) } })])
    },

    async 'header names may be any text'(transport) {
      const names = [
        'CamelCase',
        'with.dot',
        'with-hyphen',
        'with_underscore',
        'with space',
        'with:colon',
        'żółć🦊',
        '7',
        'constructor',
        'traceparent',
        'x'.repeat(100),
      ]
      await assertUnchanged(
        transport,
        names.map((name) => message('n', { headers: { [name]: 'value' } })),
      )
    },

    async 'many headers are kept'(transport) {
      const headers = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`header-${index}`, `value ${index}`]))
      await assertUnchanged(transport, [message('many', { headers })])
    },

    async 'keys may be any text, and an empty one is not none'(transport) {
      const keys = ['order-1', 'a b', 'żółć 🦊', 'a/b?c=d&e#f', 'a.*.>', 'line\nbreak', 'x'.repeat(300), '0', 'null', '', undefined]
      await assertUnchanged(
        transport,
        keys.map((key) => message('k', { key })),
      )
    },

    async 'ids may be any text'(transport) {
      const unique = randomUUID()
      const ids = ['plain', 'a b', 'żółć 🦊', 'urn:x/y?z=1#2', `long-${'x'.repeat(200)}`].map((id) => `${id}-${unique}`)
      await assertUnchanged(
        transport,
        ids.map((id) => message('i', { id })),
      )
    },

    async 'the broker’s own words come with each message'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const beganMs = Date.now()
      await publishAll(transport.connection, topic, [message('one'), message('two')])
      const consumer = await consume(transport.connection, { topic, group })
      await consumer.until(2)
      for (const { topic: from, partition, offset, timeMs } of consumer.received) {
        assert.equal(from, topic)
        assert.equal(partition !== undefined, transport.capabilities.ordering === 'partition', 'the partition, where there are some')
        if (transport.capabilities.ordering === 'partition') assert.ok(Number.isSafeInteger(offset), `offset ${offset}`)
        // The broker's clock may be another one's, but is not of another day.
        if (timeMs !== undefined) assert.ok(Math.abs(timeMs - beganMs) < 86_400_000, `${timeMs} is a time in milliseconds`)
      }
    },
  },
}

/** Publishes the messages and finds them as they were, in whatever order. */
async function assertUnchanged(transport: TransportUnderTest, sent: readonly OutgoingMessage[]): Promise<readonly ReceivedMessage[]> {
  const { topic, group } = await topicAndGroup(transport)
  await publishAll(transport.connection, topic, sent)
  const consumer = await consume(transport.connection, { topic, group })
  await consumer.exactly(sent.length)
  const byId = new Map(consumer.received.map((one) => [one.id, one]))
  for (const { id, key, attributes, headers, body } of sent) {
    const received = byId.get(id)
    assert.ok(received, `the message with the id ${JSON.stringify(id)} came with that id`)
    assert.deepEqual({ ...received.attributes }, attributes)
    assert.deepEqual({ ...received.headers }, headers)
    assert.equal(received.key, key)
    assert.deepEqual(Buffer.from(received.body), Buffer.from(body))
  }
  assert.equal(consumer.received.length, sent.length)
  return consumer.received
}
