import assert from 'node:assert/strict'
import { OffsetOutOfRangeError } from '../../transport/errors.ts'
import { eventually } from '../storage/patience.ts'
import type { TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { message, publishAll, textsOf } from './messages.ts'

export const offsets: TransportBehaviourGroup = {
  group: 'offsets',
  requires: ({ ordering, name }) => (ordering === 'partition' ? true : `${name} keeps for each group what is finished`),
  behaviours: {
    async 'reading after an offset gives what stands behind it'(transport) {
      const { topic, offsetOf } = await fiveMessages(transport)
      for (const finished of [1, 3]) {
        const kept = new Map([[0, offsetOf(finished)]])
        const consumer = await consume(transport.connection, { topic, group: transport.unusedName(), offsets: kept })
        await consumer.exactly(4 - finished)
        assert.deepEqual(textsOf(consumer.received), ['0', '1', '2', '3', '4'].slice(finished + 1))
      }
    },

    async 'reading after the last one gives what comes then'(transport) {
      const { topic, offsetOf } = await fiveMessages(transport)
      const kept = new Map([[0, offsetOf(4)]])
      const consumer = await consume(transport.connection, { topic, group: transport.unusedName(), offsets: kept })
      await publishAll(transport.connection, topic, [message('5', { key: 'k' })])
      await consumer.exactly(1)
      assert.deepEqual(textsOf(consumer.received), ['5'])
      assert.deepEqual(consumer.failures, [])
    },

    async 'what was acknowledged does not decide where reading begins'(transport) {
      const { topic, group, offsetOf } = await fiveMessages(transport)
      // The group has told the broker that all five are finished; its own checkpoint is older, as after a restore.
      const consumer = await consume(transport.connection, { topic, group, offsets: new Map([[0, offsetOf(0)]]) })
      await consumer.exactly(4)
      assert.deepEqual(textsOf(consumer.received), ['1', '2', '3', '4'])
      await consumer.close()
      const anew = await consume(transport.connection, { topic, group, offsets: new Map() })
      await anew.exactly(5)
    },

    async 'reading again in the same run begins where it is told to'(transport) {
      const { topic, offsetOf } = await fiveMessages(transport)
      const passes: string[][] = []
      const subscription = await transport.connection.subscribe({
        topic,
        group: transport.unusedName(),
        startAt: { at: 'beginning' },
        maxMessages: 2,
        maxBytes: 10_000,
        releaseTimeoutMs: 5_000,
        async run(partition) {
          for (const after of [undefined, offsetOf(1), offsetOf(0)]) {
            const texts: string[] = []
            for await (const batch of partition.read(after)) {
              texts.push(...textsOf(batch))
              if (texts.length >= 3) break
            }
            passes.push(texts.slice(0, 3))
          }
        },
      })
      await eventually('three passes', () => passes.length >= 3)
      await subscription.close()
      assert.deepEqual(passes.slice(0, 3), [
        ['0', '1', '2'],
        ['2', '3', '4'],
        ['1', '2', '3'],
      ])
    },

    async 'a checkpoint behind the end is an error: the topic is not the one that it was'(transport) {
      const { topic, offsetOf } = await fiveMessages(transport)
      const consumer = await consume(transport.connection, {
        topic,
        group: transport.unusedName(),
        offsets: new Map([[0, offsetOf(4) + 1_000]]),
      })
      await eventually('it fails', () => consumer.failures.length > 0)
      assert.ok(consumer.failures[0] instanceof OffsetOutOfRangeError, String(consumer.failures[0]))
      assert.deepEqual(consumer.received, [])
    },
  },
}

export const forgottenOffsets: TransportBehaviourGroup = {
  group: 'forgotten offsets',
  requires: ({ ordering, name }, { forget }) => {
    if (ordering !== 'partition') return `${name} keeps for each group what is finished`
    return forget ? true : 'the harness cannot remove messages'
  },
  behaviours: {
    async 'a checkpoint whose next message is not kept any more is an error, not a jump'(transport) {
      const { topic, offsetOf } = await fiveMessages(transport)
      await transport.harness.forget!(topic, 0, offsetOf(2))
      const consumer = await consume(transport.connection, { topic, group: transport.unusedName(), offsets: new Map([[0, offsetOf(0)]]) })
      await eventually('it fails', () => consumer.failures.length > 0)
      assert.ok(consumer.failures[0] instanceof OffsetOutOfRangeError, String(consumer.failures[0]))
      assert.deepEqual(consumer.received, [])
    },

    async 'a checkpoint whose next message is the first that is kept goes on, and so does a new group'(transport) {
      const { topic, offsetOf } = await fiveMessages(transport)
      await transport.harness.forget!(topic, 0, offsetOf(2))
      for (const kept of [new Map([[0, offsetOf(2)]]), new Map<number, number>()]) {
        const consumer = await consume(transport.connection, { topic, group: transport.unusedName(), offsets: kept })
        await consumer.exactly(2)
        assert.deepEqual(textsOf(consumer.received), ['3', '4'])
        assert.deepEqual(consumer.failures, [])
      }
    },
  },
}

/** A topic of one partition with the messages `0` to `4`, which a group has read and acknowledged. */
async function fiveMessages(
  transport: TransportUnderTest,
): Promise<{ readonly topic: string; readonly group: string; offsetOf(index: number): number }> {
  const { topic, group } = await topicAndGroup(transport, { partitions: 1 })
  await publishAll(
    transport.connection,
    topic,
    Array.from({ length: 5 }, (_, index) => message(`${index}`, { key: 'k' })),
  )
  const consumer = await consume(transport.connection, { topic, group })
  await consumer.until(5)
  await consumer.close()
  return {
    topic,
    group,
    offsetOf(index) {
      const { offset, partition } = consumer.received[index]!
      assert.equal(partition, 0)
      assert.ok(offset !== undefined)
      return offset
    },
  }
}
