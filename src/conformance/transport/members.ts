import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Partition, ReceivedMessage, Subscription } from '../../transport/port.ts'
import { eventually } from '../storage/patience.ts'
import type { TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import type { ConsumeOptions, Consumer, Offsets } from './consumer.ts'
import { consume, quiet, startOf, topicAndGroup } from './consumer.ts'
import { assertSame, keyed, message, publishAll, textOf, textsByKey, textsOf } from './messages.ts'

export const members: TransportBehaviourGroup = {
  group: 'members of a group',
  behaviours: {
    async 'several share the messages, and each message is given to one'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 4 })
      const consumers = await membersOf(transport, 2, { topic, group, maxMessages: 5 })
      await everybodyTakesPart(transport, topic, group, consumers)
      const sent = keyed(40, 10)
      await publishAll(transport.connection, topic, sent)
      const received = (): readonly ReceivedMessage[] => consumers.flatMap((one) => one.received)
      await eventually('all are received', () => received().length >= sent.length)
      await quiet()
      assertSame(received(), sent)
      const partitions = new Set(received().map(({ partition }) => partition)).size
      if (transport.capabilities.ordering !== 'partition' || partitions > 1)
        for (const { received: own } of consumers) assert.ok(own.length > 0, 'everybody gets some')
    },

    async 'when one leaves, the others get what it did not finish and what comes later'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const offsets: Offsets = new Map()
      const first = keyed(6, 5)
      await publishAll(transport.connection, topic, first)
      const leaving = await consume(await transport.connect(), { topic, group, offsets, maxMessages: 10, handle: () => {} })
      await leaving.until(1)
      const staying = await consume(await transport.connect(), { topic, group, offsets })
      await leaving.close()
      const second = keyed(6, 5, 5)
      await publishAll(transport.connection, topic, second)
      await eventually('everything is finished', () => new Set(textsOf(staying.received)).size === first.length + second.length)
      await quiet()
      assert.equal(leaving.failures.length, 0)
    },

    async 'when one is gone in the midst of its work, the others get everything'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const { promise: never, resolve: end } = Promise.withResolvers<void>()
      transport.atEnd(async () => end())
      const offsets: Offsets = new Map()
      const first = keyed(6, 5)
      await publishAll(transport.connection, topic, first)
      const connection = await transport.connect()
      const gone = await consume(connection, { topic, group, offsets, maxMessages: 10, releaseTimeoutMs: 200, handle: () => never })
      await gone.until(1)
      // It hangs for ever, so that whether closing ends is another question.
      const closing = connection.close()
      transport.atEnd(() => closing)
      const other = await consume(await transport.connect(), { topic, group, offsets })
      await publishAll(transport.connection, topic, keyed(6, 5, 5))
      await eventually('everything is finished', () => new Set(textsOf(other.received)).size === 60)
    },

    async 'one that comes while another works gets nothing that was finished'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const offsets: Offsets = new Map()
      const first = keyed(4, 10)
      await publishAll(transport.connection, topic, first)
      const one = await consume(await transport.connect(), { topic, group, offsets })
      await one.exactly(first.length)
      const other = await consume(await transport.connect(), { topic, group, offsets })
      await everybodyTakesPart(transport, topic, group, [one, other])
      const second = keyed(4, 10, 10)
      await publishAll(transport.connection, topic, second)
      await eventually('the rest', () => one.received.length + other.received.length >= first.length + second.length)
      await quiet()
      assertSame([...one.received, ...other.received], [...first, ...second])
    },
  },
}

export const membersInOrder: TransportBehaviourGroup = {
  group: 'order among members',
  requires: ({ ordering, name }) =>
    ordering === 'partition' || ordering === 'group' ? true : `${name} keeps order only while one process consumes`,
  behaviours: {
    async 'no message of a key overtakes another one while members come and go'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport, { partitions: 3 })
      const offsets: Offsets = new Map()
      const seen: ReceivedMessage[] = []
      const join = async (): Promise<Consumer> =>
        consume(await transport.connect(), {
          topic,
          group,
          offsets,
          maxMessages: 20,
          async handle(batch, partition, self) {
            for (const one of batch) {
              if (partition.revoked.aborted) return
              await delay(1)
              seen.push(one)
              await self.finish([one], partition)
            }
          },
        })
      const first = await join()
      const [keys, rounds, perRound] = [6, 4, 15]
      let second: Consumer | undefined
      for (let round = 0; round < rounds; round++) {
        await publishAll(connection, topic, keyed(keys, perRound, round * perRound))
        await eventually('it goes on', () => seen.length > round * keys * perRound)
        if (round % 2 === 0) second = await join()
        else await second?.close()
      }
      const total = keys * rounds * perRound
      await eventually('everything is finished', () => new Set(textsOf(seen)).size === total)
      const firstSeen = [...new Map(seen.map((one) => [textOf(one), one])).values()]
      assert.deepEqual(textsByKey(firstSeen), textsByKey(keyed(keys, rounds * perRound)))
      assert.deepEqual([first.failures, second?.failures], [[], []])
    },
  },
}

export const membersOfPartitions: TransportBehaviourGroup = {
  group: 'partitions among members',
  requires: ({ ordering, name }) => (ordering === 'partition' ? true : `${name} gives no partitions to members`),
  behaviours: {
    async 'nobody is given a partition while the run of who had it is at work'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      /** Who is at work on which partition. */
      const working = new Map<number, string>()
      const overlaps: string[] = []
      const join = async (name: string): Promise<Subscription> =>
        (await transport.connect()).subscribe({
          topic,
          group,
          startAt: startOf(transport.capabilities),
          maxMessages: 10,
          maxBytes: 10_000,
          releaseTimeoutMs: 10_000,
          async run({ number = 0, revoked }) {
            const before = working.get(number)
            if (before !== undefined) overlaps.push(`${name} was given partition ${number} while ${before} was at work on it`)
            working.set(number, name)
            if (!revoked.aborted) await new Promise((resolve) => revoked.addEventListener('abort', resolve, { once: true }))
            await delay(400)
            working.delete(number)
          },
        })
      const shareOf = (name: string): number => [...working.values()].filter((one) => one === name).length
      const count = (await transport.connection.lag(topic, group)).length
      const becomes = (what: string, check: () => boolean): Promise<void> => eventually(what, () => overlaps.length > 0 || check())

      const one = await join('one')
      await becomes('one has them all', () => shareOf('one') === count)
      const other = await join('the other')
      if (count > 1) await becomes('the other has its share', () => shareOf('the other') > 0 && working.size === count)
      await one.close()
      await becomes('the other has them all', () => shareOf('the other') === count)
      await other.close()
      assert.deepEqual(overlaps, [])
      assert.equal(working.size, 0)
    },
  },
}

export const membersOfGroupedKeys: TransportBehaviourGroup = {
  group: 'keys among members',
  requires: ({ ordering, name }) => (ordering === 'group' ? true : `${name} does not give out messages by key`),
  behaviours: {
    async 'no message of a key is given to one member while another has an unfinished one'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport)
      const taken: { readonly member: number; readonly message: ReceivedMessage; readonly partition: Partition }[] = []
      const [one, other] = await Promise.all(
        [0, 1].map(async (member) =>
          consume(await transport.connect(), {
            topic,
            group,
            handle: (batch, partition) => void taken.push(...batch.map((each) => ({ member, message: each, partition }))),
          }),
        ),
      )
      await publishAll(connection, topic, [message('k 0', { key: 'k' })])
      await eventually('the first is taken', () => taken.length === 1)
      const holder = taken[0]!
      await publishAll(connection, topic, [message('k 1', { key: 'k' }), message('j 0', { key: 'j' })])
      await eventually('that of another key is given out', () => taken.some((each) => textOf(each.message) === 'j 0'))
      await quiet()
      const second = taken.find((each) => textOf(each.message) === 'k 1')
      if (second) assert.equal(second.member, holder.member, 'the key stays with its member')
      await holder.partition.acknowledge([holder.message])
      await eventually('the second is given out', () => taken.some((each) => textOf(each.message) === 'k 1'))
      await Promise.all([one!.close(), other!.close()])
    },
  },
}

async function membersOf(transport: TransportUnderTest, count: number, options: ConsumeOptions): Promise<readonly Consumer[]> {
  const offsets: Offsets = new Map()
  return Promise.all(Array.from({ length: count }, async () => consume(await transport.connect(), { offsets, ...options })))
}

/** Waits until the members have shared the topic among themselves: whoever can get a partition has one, and none is without a member. */
async function everybodyTakesPart(
  { connection, capabilities }: TransportUnderTest,
  topic: string,
  group: string,
  consumers: readonly Consumer[],
): Promise<void> {
  const partitions = (await connection.lag(topic, group)).length
  const shares = (): readonly number[] => consumers.map(({ runs }) => runs.filter(({ isOver }) => !isOver).length)
  await eventually('the members take part', () =>
    capabilities.ordering === 'partition'
      ? shares().reduce((sum, share) => sum + share, 0) === partitions &&
        shares().filter((share) => share > 0).length >= Math.min(partitions, consumers.length)
      : shares().every((share) => share > 0),
  )
  // A broker may know a member a little later than the member knows itself.
  await quiet()
}
