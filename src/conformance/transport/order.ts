import assert from 'node:assert/strict'
import type { OutgoingMessage } from '../../transport/port.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { keyed, message, publishAll, textsByKey, textsOf } from './messages.ts'

/** With one process that consumes; what several do to it is in `members`. */
export const order: TransportBehaviourGroup = {
  group: 'order',
  requires: ({ ordering, name }) => (ordering === 'none' ? `${name} keeps no order` : true),
  behaviours: {
    async 'messages of a key come in the order in which they were given'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 3 })
      const sent = keyed(10, 50)
      await publishAll(transport.connection, topic, sent)
      const consumer = await consume(transport.connection, { topic, group, maxMessages: 20 })
      await consumer.exactly(sent.length)
      assert.deepEqual(textsByKey(consumer.received), textsByKey(sent))
    },

    async 'overlapping calls keep the order of a key'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 3 })
      const calls = Array.from({ length: 40 }, (_, call) => keyed(5, 5, call * 5))
      await Promise.all(calls.map((messages) => publishAll(transport.connection, topic, messages)))
      const consumer = await consume(transport.connection, { topic, group })
      await consumer.exactly(calls.flat().length)
      assert.deepEqual(textsByKey(consumer.received), textsByKey(calls.flat()))
    },

    async 'a large message is not overtaken by small ones of its key'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const large = Buffer.alloc(Math.min(500_000, capabilities.maxMessageBytes - 10_000), 'x')
      const sent = Array.from({ length: 60 }, (_, index): OutgoingMessage => {
        const headers = { number: String(index) }
        return message(`small ${index}`, index % 20 === 5 ? { key: 'k', headers, body: large } : { key: 'k', headers })
      })
      await Promise.all(sent.map((one) => publishAll(connection, topic, [one])))
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(sent.length)
      assert.deepEqual(
        consumer.received.map(({ headers }) => headers['number']),
        sent.map(({ headers }) => headers['number']),
      )
    },

    async 'what stands behind a refused message of its key is sent, in order'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const tooLarge = Buffer.alloc(capabilities.maxMessageBytes + 1)
      const numbers = Array.from({ length: 12 }, (_, index) => index)
      const outcomes = await Promise.all(
        numbers.map((number) =>
          connection.publish(topic, [message(`${number}`, number === 4 ? { key: 'k', body: tooLarge } : { key: 'k' })]),
        ),
      )
      assert.deepEqual(
        outcomes.flat().map(({ ok }) => ok),
        numbers.map((number) => number !== 4),
      )
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(11)
      assert.deepEqual(textsOf(consumer.received), numbers.filter((number) => number !== 4).map(String))
    },

    async 'a key is always in the same partition, and offsets grow there'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 3 })
      const sent = keyed(30, 5)
      await publishAll(transport.connection, topic, sent.slice(0, 75))
      await publishAll(await transport.connect(), topic, sent.slice(75))
      const consumer = await consume(transport.connection, { topic, group })
      await consumer.exactly(sent.length)
      const partitionOfKey = new Map<string | undefined, number | undefined>()
      const lastOffset = new Map<number | undefined, number>()
      for (const { key, partition, offset } of consumer.received) {
        if (!partitionOfKey.has(key)) partitionOfKey.set(key, partition)
        assert.equal(partition, partitionOfKey.get(key), `the partition of ${key}`)
        if (offset === undefined) continue
        const last = lastOffset.get(partition) ?? -Infinity
        assert.ok(offset > last, `offset ${offset} after ${last} in partition ${partition}`)
        lastOffset.set(partition, offset)
      }
    },
  },
}
