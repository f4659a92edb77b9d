import assert from 'node:assert/strict'
import { TopicMismatchError, UnknownTopicError } from '../../transport/errors.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, startOf, topicAndGroup, within } from './consumer.ts'
import { message, publishAll, textsOf } from './messages.ts'

export const topics: TransportBehaviourGroup = {
  group: 'topics',
  behaviours: {
    async 'one that is there is found again, with what is in it'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport)
      await publishAll(connection, topic, [message('before')])
      await connection.ensureTopic({ name: topic })
      const other = await transport.connect()
      await other.ensureTopic({ name: topic })
      await other.ensureGroup(topic, group, startOf(transport.capabilities))
      await publishAll(other, topic, [message('after')])
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(2)
      assert.deepEqual(textsOf(consumer.received).toSorted(), ['after', 'before'])
    },

    async 'one that several make at the same time is one'({ connection, connect, unusedName }) {
      const topic = unusedName()
      const others = [connection, await connect(), await connect()]
      await Promise.all(others.map((one) => one.ensureTopic({ name: topic })))
      for (const one of others) await publishAll(one, topic, [message('m')])
    },

    async 'one with another number of partitions is a mismatch, where there are partitions'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      await connection.ensureTopic({ name: topic, partitions: 2 })
      await connection.ensureTopic({ name: topic })
      const hasPartitions = (await connection.lag(topic, group)).length === 2
      if (hasPartitions) await assert.rejects(connection.ensureTopic({ name: topic, partitions: 3 }), TopicMismatchError)
      else await connection.ensureTopic({ name: topic, partitions: 3 })
    },

    async 'one that is not there is unknown to who subscribes'({ connection, capabilities, unusedName }) {
      const [topic, group, startAt] = [unusedName(), unusedName(), startOf(capabilities)]
      await assert.rejects(within(30_000, 'ensureGroup', connection.ensureGroup(topic, group, startAt)), UnknownTopicError)
      await assert.rejects(within(30_000, 'subscribe', consume(connection, { topic, group })), UnknownTopicError)
      // Asking must not have made it.
      await assert.rejects(within(30_000, 'subscribe', consume(connection, { topic, group })), UnknownTopicError)
    },

    async 'one that is not there is unknown to who publishes'({ connection, unusedName, topic: newTopic }) {
      const unknown = unusedName()
      // Whoever publishes to several topics learns it from the outcomes; that the call rejects is as good.
      const outcomes = await within(
        20_000,
        'publish',
        connection.publish(unknown, [message('lost'), message('too')]).catch((error: unknown) => {
          assert.ok(error instanceof UnknownTopicError, String(error))
          return undefined
        }),
      )
      if (outcomes) {
        assert.equal(outcomes.length, 2)
        for (const outcome of outcomes) assert.ok(!outcome.ok && outcome.error instanceof UnknownTopicError, JSON.stringify(outcome))
      }
      await publishAll(connection, await newTopic(), [message('the connection still works')])
    },
  },
}
