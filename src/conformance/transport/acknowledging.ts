import assert from 'node:assert/strict'
import type { Partition, ReceivedMessage } from '../../transport/port.ts'
import { eventually } from '../storage/patience.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, quiet, topicAndGroup, within } from './consumer.ts'
import { assertSame, keyed, message, publishAll, textOf, textsOf } from './messages.ts'

/** A batch, one message at a time, with the partition that it came from. */
interface Taken {
  readonly message: ReceivedMessage
  readonly partition: Partition
}

/** Where the broker knows which messages are finished; where the consumer keeps offsets, see `offsets`. */
export const acknowledging: TransportBehaviourGroup = {
  group: 'acknowledging',
  requires: ({ ordering, name }) => (ordering === 'partition' ? `${name} leaves it to the consumer to keep what is finished` : true),
  behaviours: {
    async 'what was acknowledged does not come again'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const first = keyed(3, 10)
      await publishAll(transport.connection, topic, first)
      const connection = await transport.connect()
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(first.length)
      await connection.close()
      const second = keyed(3, 10, 10)
      await publishAll(transport.connection, topic, second)
      const next = await consume(transport.connection, { topic, group })
      await next.exactly(second.length)
      assertSame(next.received, second)
    },

    async 'what was not acknowledged comes again, to the next one who subscribes'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = keyed(10, 2)
      await publishAll(transport.connection, topic, sent)
      const consumer = await consume(transport.connection, {
        topic,
        group,
        // Of each key the second message is finished only after the first, since some brokers keep it back until then.
        handle: (batch, partition) => partition.acknowledge(batch.filter((one) => textOf(one).endsWith(' 0'))),
      })
      await consumer.exactly(sent.length)
      await consumer.close()
      const next = await consume(await transport.connect(), { topic, group })
      await next.exactly(10)
      assertSame(
        next.received,
        sent.filter((one) => textOf(one).endsWith(' 1')),
      )
      assert.ok(
        next.received.every(({ id }) => sent.some((one) => one.id === id)),
        'with the same ids',
      )
    },

    async 'what was released comes soon again, and the rest does not'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = keyed(6, 1)
      await publishAll(transport.connection, topic, sent)
      const released = new Set<string>()
      const consumer = await consume(transport.connection, {
        topic,
        group,
        async handle(batch, partition) {
          for (const one of batch) {
            const text = textOf(one)
            if (['k1 0', 'k4 0'].includes(text) && !released.has(text)) {
              released.add(text)
              await partition.release([one])
            } else await partition.acknowledge([one])
          }
        },
      })
      await within(30_000, 'coming again', consumer.exactly(sent.length + 2))
      assert.deepEqual(textsOf(consumer.received).toSorted(), ['k0 0', 'k1 0', 'k1 0', 'k2 0', 'k3 0', 'k4 0', 'k4 0', 'k5 0'])
    },

    async 'who acknowledges nothing gets at most maxMessages, and one more for each that is finished'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const taken: Taken[] = []
      const sent = keyed(40, 1)
      await publishAll(transport.connection, topic, sent)
      const consumer = await consume(transport.connection, {
        topic,
        group,
        maxMessages: 5,
        handle: (batch, partition) => void taken.push(...batch.map((one) => ({ message: one, partition }))),
      })
      await consumer.exactly(5)
      assert.equal(taken.length, 5)
      await taken[0]!.partition.acknowledge([taken[0]!.message])
      await consumer.exactly(6)
      assert.equal(taken.length, 6)
      for (const { message: one, partition } of taken.slice(1, 4)) await partition.acknowledge([one])
      await consumer.exactly(9)
      assert.equal(taken.length, 9)
      assert.equal(new Set(consumer.received.map(({ id }) => id)).size, 9, 'each another one')
    },

    async 'messages may be finished in any order, also in one call, and twice'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = keyed(10, 1)
      await publishAll(transport.connection, topic, sent)
      const taken: Taken[] = []
      const consumer = await consume(transport.connection, {
        topic,
        group,
        handle: (batch, partition) => void taken.push(...batch.map((one) => ({ message: one, partition }))),
      })
      await consumer.until(10)
      const [last, first, ...others] = [taken[9]!, taken[0]!, ...taken.slice(1, 9)]
      await last.partition.acknowledge([last.message])
      await last.partition.acknowledge([last.message])
      await first.partition.acknowledge([...others.slice(0, 7).map((one) => one.message), first.message])
      await first.partition.acknowledge([])
      await consumer.close()
      const next = await consume(transport.connection, { topic, group })
      await next.exactly(1)
      assert.deepEqual(textsOf(next.received), [textOf(others[7]!.message)])
    },

    async 'who does not read keeps others from nothing but maxMessages'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const { promise: mayRead, resolve: read } = Promise.withResolvers<void>()
      const lazy = await consume(await transport.connect(), { topic, group, maxMessages: 3, handle: () => mayRead })
      transport.atEnd(async () => read())
      await eventually('the lazy one takes part', () => lazy.runs.length > 0)
      const eager = await consume(transport.connection, { topic, group })
      const sent = keyed(30, 1)
      await publishAll(transport.connection, topic, sent)
      await eager.until(27)
      await quiet()
      assert.ok(lazy.received.length <= 3, `${lazy.received.length} messages were given to who asked for 3`)
      read()
      await lazy.close()
      // The broker gets back what was held, and gives it to somebody else.
      await eventually('all of them are finished', () => new Set(eager.received.map(({ id }) => id)).size === 30)
    },

    async 'a message that is worked on for long is not given to another member meanwhile'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const taken: Taken[] = []
      const keep = (batch: readonly ReceivedMessage[], partition: Partition): void =>
        void taken.push(...batch.map((one) => ({ message: one, partition })))
      const slow = await consume(await transport.connect(), { topic, group, handle: keep })
      await publishAll(transport.connection, topic, [message('slow')])
      await slow.until(1)
      const other = await consume(await transport.connect(), { topic, group })
      for (let count = 0; count < 10; count++) await quiet()
      assert.deepEqual(textsOf(other.received), [])
      await taken[0]!.partition.acknowledge([taken[0]!.message])
      await slow.close()
      await quiet()
      assert.deepEqual(textsOf(other.received), [])
    },
  },
}
