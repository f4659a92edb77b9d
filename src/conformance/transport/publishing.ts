import assert from 'node:assert/strict'
import { MessageTooLargeError } from '../../transport/errors.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { assertSame, keyed, message, publishAll, textsOf } from './messages.ts'

export const publishing: TransportBehaviourGroup = {
  group: 'publishing',
  behaviours: {
    async 'nothing to publish has no outcomes'({ connection, topic }) {
      assert.deepEqual(await connection.publish(await topic(), []), [])
    },

    async 'what is confirmed can be read'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = [message('first'), message('second', { key: 'k' })]
      assert.deepEqual(await transport.connection.publish(topic, sent), [{ ok: true }, { ok: true }])
      const consumer = await consume(await transport.connect(), { topic, group })
      await consumer.exactly(2)
      assertSame(consumer.received, sent)
    },

    async 'one that is too large is refused by itself, and the limit is named'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const large = Buffer.alloc(capabilities.maxMessageBytes + 1, 'x')
      const sent = [message('before', { key: 'k' }), message('', { key: 'k', body: large }), message('after', { key: 'k' })]
      const [before, refused, after, ...more] = await connection.publish(topic, sent)
      assert.deepEqual([before, after, more], [{ ok: true }, { ok: true }, []])
      assert.ok(refused && !refused.ok && refused.refused, 'it will never be taken')
      assert.ok(refused.error instanceof MessageTooLargeError, String(refused.error))
      assert.match(refused.error.message, new RegExp(String(capabilities.maxMessageBytes)))
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(2)
      assert.deepEqual(textsOf(consumer.received).toSorted(), ['after', 'before'])
    },

    async 'headers count: one that is too large by them is refused too'(transport) {
      const { connection, capabilities } = transport
      const { topic } = await topicAndGroup(transport)
      // Some brokers have a smaller limit for headers than for messages: it may be refused as a whole then, but never for ever tried.
      const headers = Object.fromEntries(Array.from({ length: 5 }, (_, index) => [`h${index}`, 'y'.repeat(1_000)]))
      const body = Buffer.alloc(capabilities.maxMessageBytes - 2_000, 'x')
      const [outcome] = await connection.publish(topic, [message('', { headers, body })])
      assert.ok(outcome && !outcome.ok && outcome.refused, JSON.stringify(outcome))
      assert.ok(outcome.error instanceof MessageTooLargeError, String(outcome.error))
    },

    async 'one that is nearly too large is taken'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const bytes = Math.min(capabilities.maxMessageBytes - 4_096, 8 * 1024 * 1024)
      const body = Buffer.from(Array.from({ length: 1_024 }, (_, index) => index & 0xff))
      const large = Buffer.alloc(bytes, body)
      await publishAll(connection, topic, [message('', { body: large })])
      const consumer = await consume(connection, { topic, group, maxBytes: 2 * bytes })
      await consumer.until(1)
      assert.ok(large.equals(consumer.received[0]!.body), 'the same bytes')
    },

    async 'thousands at once are all confirmed and all there'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 3 })
      const sent = keyed(50, 60)
      const consumer = await consume(await transport.connect(), { topic, group, maxMessages: 1_000 })
      await publishAll(transport.connection, topic, sent)
      await consumer.exactly(sent.length)
      assertSame(consumer.received, sent)
    },

    async 'many calls at the same time each get their own outcomes'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const large = Buffer.alloc(capabilities.maxMessageBytes + 1)
      const sent = Array.from({ length: 40 }, (_, index) => [message(`a${index}`), message(`b${index}`)])
      const outcomes = await Promise.all(
        sent.map((messages, index) => connection.publish(topic, index === 20 ? [messages[0]!, message('', { body: large })] : messages)),
      )
      for (const [index, [first, second]] of outcomes.entries())
        assert.deepEqual([first?.ok, second?.ok], [true, index !== 20], `outcomes of call ${index}`)
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(79)
      assertSame(
        consumer.received,
        sent.flat().filter((_, index) => index !== 41),
      )
    },

    async 'two messages of equal content are two'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      await publishAll(transport.connection, topic, [message('same'), message('same')])
      await publishAll(transport.connection, topic, [message('same')])
      const consumer = await consume(transport.connection, { topic, group })
      await consumer.exactly(3)
      assert.deepEqual(textsOf(consumer.received), ['same', 'same', 'same'])
      assert.equal(new Set(consumer.received.map(({ id }) => id)).size, 3, 'three ids')
    },

    async 'one that is sent again with its id is one where the broker deduplicates, else recognisable'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const again = message('again', { key: 'k' })
      await publishAll(connection, topic, [again])
      await publishAll(connection, topic, [again])
      await publishAll(await transport.connect(), topic, [again, message('last', { key: 'k' })])
      const expected = capabilities.deduplicates ? ['again', 'last'] : ['again', 'again', 'again', 'last']
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(expected.length)
      assert.deepEqual(textsOf(consumer.received).toSorted(), expected)
      for (const one of consumer.received) if (one.key === 'k' && one.body.length === 5) assert.equal(one.id, again.id)
    },
  },
}
