import { expect, test } from 'vitest'
import type { Partition, ReceivedMessage, SubscriptionOptions } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { connectBoth, message } from './support.ts'

const text = ({ body }: ReceivedMessage): string => Buffer.from(body).toString()

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `consuming from ${broker}`, (address) => {
    test('figures say what is going on', async () => {
      const { connection, metrics, newName } = await connectBoth(address)
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      await connection.publish(topic, [message('1'), message('2'), message('x'.repeat(2_000_000))])
      expect(metrics.value('headwater_transport_published_total', { transport: 'nats', topic })).toBe(2)
      expect(metrics.value('headwater_transport_publish_failures_total', { transport: 'nats', topic })).toBe(1)
      expect(metrics.durationOf('headwater_transport_publish_duration_ms', { transport: 'nats', topic })?.count).toBe(1)
      const labels = { transport: 'nats', topic, group: 'g' }
      const taken: ReceivedMessage[] = []
      let partition: Partition | undefined
      await connection.subscribe({
        ...subscriptionTo(topic),
        async run(given) {
          partition = given
          for await (const batch of given.read()) taken.push(...batch)
        },
      })
      await eventually(() => expect(taken.length).toBe(2))
      expect(metrics.value('headwater_transport_received_total', labels)).toBe(2)
      expect(metrics.value('headwater_transport_held', labels)).toBe(2)
      await partition!.acknowledge(taken.slice(0, 1))
      expect(metrics.value('headwater_transport_held', labels)).toBe(1)
    })

    test('what is released comes again before anything newer, in order', async () => {
      const { connection, newName } = await connectBoth(address)
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      await connection.publish(
        topic,
        Array.from({ length: 30 }, (_, number) => message(String(number))),
      )
      const finished: string[] = []
      let released = false
      await connection.subscribe({
        ...subscriptionTo(topic),
        maxMessages: 10,
        async run(partition) {
          for await (const batch of partition.read()) {
            if (!released && text(batch[0]!) !== '0') {
              released = true
              await partition.release(batch.toReversed())
              continue
            }
            finished.push(...batch.map(text))
            await partition.acknowledge(batch)
          }
        },
      })
      await eventually(() => expect(finished.length).toBe(30))
      expect(released).toBe(true)
      expect(finished).toEqual(Array.from({ length: 30 }, (_, number) => String(number)))
    })

    // The server serves the requests that wait in turn, so that a later one may end before an earlier one.
    test('never more than maxMessages are held, however requests and messages meet', async () => {
      const { connection, newName } = await connectBoth(address)
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      let held = 0
      let most = 0
      let count = 0
      await connection.subscribe({
        ...subscriptionTo(topic),
        maxMessages: 7,
        async run(partition) {
          for await (const batch of partition.read()) {
            count += batch.length
            held += batch.length
            most = Math.max(most, held)
            for (const part of [batch.slice(0, 1), batch.slice(1)]) {
              held -= part.length
              await partition.acknowledge(part)
            }
          }
        },
      })
      for (let round = 0; round < 150; round++)
        await connection.publish(
          topic,
          Array.from({ length: 1 + (round % 9) }, (_, number) => message(`${round} ${number}`)),
        )
      const total = Array.from({ length: 150 }, (_, round) => 1 + (round % 9)).reduce((sum, one) => sum + one, 0)
      await eventually(() => expect(count).toBe(total))
      expect(most).toBeLessThanOrEqual(7)
    })

    test('messages are kept for who works on them for longer than the server waits, without a repetition', async () => {
      const { connection, manager, newName } = await connectBoth(address, { ackWaitMs: 1_500 })
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      await connection.publish(topic, [message('slow')])
      let partition: Partition | undefined
      const taken: ReceivedMessage[] = []
      await connection.subscribe({
        ...subscriptionTo(topic),
        async run(given) {
          partition = given
          for await (const batch of given.read()) taken.push(...batch)
        },
      })
      await eventually(() => expect(taken.length).toBe(1))
      const beganMs = Date.now()
      await eventually(() => expect(Date.now() - beganMs).toBeGreaterThan(4_000))
      expect((await manager.consumers.info(topic, 'g')).num_redelivered).toBe(0)
      await partition!.acknowledge(taken)
      await eventually(async () => expect(await connection.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 0 }]))
      expect(taken.length).toBe(1)
    })

    test('whoever returns from run leaves the rest to others', async () => {
      const { connection, newName } = await connectBoth(address)
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      await connection.publish(
        topic,
        Array.from({ length: 20 }, (_, number) => message(String(number))),
      )
      await connection.subscribe({
        ...subscriptionTo(topic),
        async run(partition) {
          for await (const batch of partition.read()) {
            await partition.acknowledge(batch.slice(0, 1))
            return
          }
        },
      })
      const received: string[] = []
      await eventually(async () => expect(await connection.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 19 }]))
      await connection.subscribe({
        ...subscriptionTo(topic),
        async run(partition) {
          for await (const batch of partition.read()) {
            received.push(...batch.map(text))
            await partition.acknowledge(batch)
          }
        },
      })
      await eventually(() => expect(received.length).toBe(19))
      expect(received).toEqual(Array.from({ length: 19 }, (_, number) => String(number + 1)))
    })
  })

function subscriptionTo(topic: string): Omit<SubscriptionOptions, 'run'> {
  return { topic, group: 'g', startAt: { at: 'beginning' }, maxMessages: 100, maxBytes: 1024 * 1024, releaseTimeoutMs: 500 }
}
