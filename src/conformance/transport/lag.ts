import assert from 'node:assert/strict'
import { eventually } from '../storage/patience.ts'
import type { TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import { consume, startOf, topicAndGroup } from './consumer.ts'
import { keyed, message, publishAll, textOf } from './messages.ts'

export const lag: TransportBehaviourGroup = {
  group: 'lag',
  behaviours: {
    async 'is what was published and not acknowledged yet'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      await lagBecomes(transport, topic, group, 0)
      const sent = keyed(5, 6)
      await publishAll(transport.connection, topic, sent)
      await lagBecomes(transport, topic, group, 30)
      const consumer = await consume(await transport.connect(), { topic, group })
      await consumer.until(30)
      await lagBecomes(transport, topic, group, 0)
      await consumer.close()
      await lagBecomes(transport, topic, group, 0)
      await publishAll(transport.connection, topic, keyed(5, 2, 6))
      await lagBecomes(transport, topic, group, 10)
    },

    async 'holds what was read and not finished'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 1 })
      await publishAll(
        transport.connection,
        topic,
        Array.from({ length: 6 }, (_, index) => message(`${index}`, { key: `k${index}` })),
      )
      const consumer = await consume(await transport.connect(), {
        topic,
        group,
        async handle(batch, partition, self) {
          const finished = batch.filter((one) => Number(textOf(one)) < 4)
          if (finished.length > 0) await self.finish(finished, partition)
        },
      })
      await consumer.until(6)
      await lagBecomes(transport, topic, group, 2)
    },

    async 'each group has its own, and each partition its line'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const idle = transport.unusedName()
      await connection.ensureGroup(topic, idle, startOf(capabilities))
      await publishAll(connection, topic, keyed(8, 2))
      const consumer = await consume(await transport.connect(), { topic, group })
      await consumer.until(16)
      await lagBecomes(transport, topic, group, 0)
      await lagBecomes(transport, topic, idle, 16)
      const lines = await connection.lag(topic, idle)
      const partitions = lines.map(({ partition }) => partition)
      assert.equal(new Set(partitions).size, partitions.length)
      const hasPartitions = capabilities.ordering === 'partition'
      assert.ok(partitions.every((partition) => (partition !== undefined) === hasPartitions))
      if (hasPartitions)
        for (const { partition, messages } of lines)
          assert.equal(messages, consumer.received.filter((one) => one.partition === partition).length, `lag of partition ${partition}`)
    },
  },
}

/** Brokers count in their own time. */
async function lagBecomes({ connection }: TransportUnderTest, topic: string, group: string, expected: number): Promise<void> {
  let last = -1
  await eventually(`a lag of ${expected}`, async () => {
    last = (await connection.lag(topic, group)).reduce((sum, { messages }) => sum + messages, 0)
    return last === expected
  }).catch((error: unknown) => {
    throw new Error(`the lag stays ${last} and does not become ${expected}`, { cause: error })
  })
}
