import assert from 'node:assert/strict'
import { UnsupportedByTransportError } from '../../transport/errors.ts'
import type { ReceivedMessage } from '../../transport/port.ts'
import { eventually } from '../storage/patience.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, quiet, startOf, topicAndGroup, within } from './consumer.ts'
import { assertSame, keyed, message, publishAll, textsOf } from './messages.ts'

export const delivery: TransportBehaviourGroup = {
  group: 'delivery',
  behaviours: {
    async 'each message is given to a group once, whether it was there before or comes while somebody listens'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const before = keyed(5, 20)
      const after = keyed(5, 20, 20)
      await publishAll(transport.connection, topic, before)
      const consumer = await consume(await transport.connect(), { topic, group })
      await consumer.until(before.length)
      await publishAll(transport.connection, topic, after)
      await consumer.exactly(before.length + after.length)
      assertSame(consumer.received, [...before, ...after])
    },

    async 'a message comes soon after it was published to somebody who waits'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const consumer = await consume(await transport.connect(), { topic, group })
      for (let count = 1; count <= 5; count++) {
        await publishAll(transport.connection, topic, [message(`m${count}`)])
        await within(30_000, `message ${count}`, consumer.until(count))
      }
    },

    async 'several groups each get every message'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const others = [transport.unusedName(), transport.unusedName()]
      for (const other of others) await connection.ensureGroup(topic, other, startOf(capabilities))
      const sent = keyed(4, 25)
      await publishAll(connection, topic, sent)
      const consumers = await Promise.all([group, ...others].map((one) => consume(connection, { topic, group: one })))
      for (const consumer of consumers) await consumer.exactly(sent.length)
      for (const consumer of consumers) assertSame(consumer.received, sent)
    },

    async 'topics are apart from each other'(transport) {
      const one = await topicAndGroup(transport)
      const other = await topicAndGroup(transport)
      // The same group on two topics is two groups.
      await transport.connection.ensureGroup(other.topic, one.group, startOf(transport.capabilities))
      await publishAll(transport.connection, one.topic, [message('to one')])
      await publishAll(transport.connection, other.topic, [message('to the other')])
      const ofOne = await consume(transport.connection, one)
      const ofOther = await consume(transport.connection, { topic: other.topic, group: one.group })
      await Promise.all([ofOne.exactly(1), ofOther.exactly(1)])
      assert.deepEqual([textsOf(ofOne.received), textsOf(ofOther.received)], [['to one'], ['to the other']])
      assert.deepEqual([ofOne.received[0]?.topic, ofOther.received[0]?.topic], [one.topic, other.topic])
    },

    async 'messages come in batches, none of them empty or above maxMessages'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = keyed(20, 10)
      await publishAll(transport.connection, topic, sent)
      const consumer = await consume(transport.connection, { topic, group, maxMessages: 7 })
      await consumer.exactly(sent.length)
      const sizes = consumer.batches.map(({ length }) => length)
      assert.ok(Math.min(...sizes) >= 1 && Math.max(...sizes) <= 7, `sizes of batches: ${sizes.join(' ')}`)
      assertSame(consumer.received, sent)
    },

    async 'a batch is not much larger than maxBytes, and one message that is still comes'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const [small, maxBytes] = [10_000, 30_000]
      const bodies = [...Array.from({ length: 20 }, () => Buffer.alloc(small, 's')), Buffer.alloc(60_000, 'L'), Buffer.alloc(small, 'e')]
      await publishAll(
        transport.connection,
        topic,
        bodies.map((body) => message('', { key: 'k', body })),
      )
      const consumer = await consume(transport.connection, { topic, group, maxBytes })
      await consumer.exactly(bodies.length)
      const sizes = consumer.batches.map((batch) => batch.reduce((sum, { body }) => sum + body.length, 0))
      assert.ok(Math.max(...sizes) <= maxBytes + 60_000, `bytes of batches: ${sizes.join(' ')}`)
    },

    async 'a run that rejects is called again, after a pause, and goes on'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      await publishAll(transport.connection, topic, [message('one'), message('two')])
      let failures = 0
      const consumer = await consume(transport.connection, {
        topic,
        group,
        async handle(batch, partition, self) {
          if (failures++ < 2) {
            await partition.release(batch)
            throw new Error('not yet')
          }
          await self.finish(batch, partition)
        },
      })
      await eventually('both are finished', () => {
        const finished = new Set(consumer.batches.slice(2).flatMap(textsOf))
        return finished.has('one') && finished.has('two')
      })
      assert.equal(consumer.failures.length, 2)
      assert.ok(consumer.runs.length >= 3 && consumer.runs.length < 20, `${consumer.runs.length} runs: no busy loop`)
    },

    async 'closing a subscription waits for its run, and nothing comes afterwards'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport)
      await publishAll(connection, topic, [message('one')])
      const { promise: mayEnd, resolve: end } = Promise.withResolvers<void>()
      const consumer = await consume(connection, {
        topic,
        group,
        async handle(batch, partition, self) {
          await mayEnd
          await self.finish(batch, partition)
        },
      })
      await consumer.until(1)
      let isClosed = false
      const closing = consumer.close().then(() => (isClosed = true))
      await eventually('the run is told', () => consumer.runs[0]!.partition.revoked.aborted)
      await quiet()
      assert.ok(!isClosed, 'the run has not ended yet')
      end()
      await within(30_000, 'closing', closing)
      assert.ok(consumer.runs[0]!.isOver)
      await publishAll(connection, topic, [message('two')])
      await quiet()
      assert.deepEqual(textsOf(consumer.received), ['one'])
      assert.deepEqual(consumer.failures, [])
      await within(30_000, 'closing again', consumer.close())

      const next = await consume(connection, { topic, group, offsets: consumer.offsets })
      await next.exactly(1)
      assert.deepEqual(textsOf(next.received), ['two'], 'what the run finished while it was closed is finished')
    },

    async 'reading what was taken away ends at once, without messages'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      await publishAll(transport.connection, topic, [message('one')])
      const consumer = await consume(await transport.connect(), { topic, group, handle: () => {} })
      await consumer.until(1)
      await consumer.close()
      const late: ReceivedMessage[] = []
      const reading = async (): Promise<void> => {
        for await (const batch of consumer.runs[0]!.partition.read()) late.push(...batch)
      }
      await within(30_000, 'the end', reading())
      assert.deepEqual(textsOf(late), [])
    },

    async 'to acknowledge or release too late is no error'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      await publishAll(transport.connection, topic, [message('one'), message('two', { key: 'k' })])
      const connection = await transport.connect()
      const consumer = await consume(connection, { topic, group, handle: () => {} })
      await consumer.until(2)
      const { partition } = consumer.runs[0]!
      await consumer.close()
      await partition.acknowledge(consumer.received.slice(0, 1))
      await connection.close()
      await partition.acknowledge(consumer.received)
      await partition.release(consumer.received)
      assert.deepEqual(consumer.failures, [])
    },

    async 'a start that the transport does not know is refused'({ connection, capabilities, topic: newTopic, unusedName }) {
      const topic = await newTopic()
      for (const startAt of [{ at: 'beginning' }, { at: 'end' }, { at: 'time', timeMs: Date.now() - 1_000 }] as const) {
        if (capabilities.startAt.includes(startAt.at)) continue
        await assert.rejects(connection.ensureGroup(topic, unusedName(), startAt), UnsupportedByTransportError)
        await assert.rejects(consume(connection, { topic, group: unusedName(), startAt }), UnsupportedByTransportError)
      }
    },
  },
}
