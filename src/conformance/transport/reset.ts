import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import { UnknownTopicError, UnsupportedByTransportError } from '../../transport/errors.ts'
import type { GroupPlace, StartAt, TransportCapabilities } from '../../transport/port.ts'
import type { TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import type { Consumer, Offsets } from './consumer.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { keyed, message, publishAll, textsOf } from './messages.ts'

const keepsHistory = ({ startAt, name }: TransportCapabilities): true | string =>
  startAt.includes('beginning') ? true : `${name} keeps no history`

export const reset: TransportBehaviourGroup = {
  group: 'reset',
  requires: keepsHistory,
  behaviours: {
    async 'a group that was put back to the beginning gets everything again'(transport) {
      const { topic, group } = await finishedByGroup(transport)
      assert.equal(messagesIn(await transport.connection.resetGroup(topic, group, { at: 'beginning' })), 3)
      const consumer = await consumeFrom(transport, topic, group, { at: 'beginning' })
      await consumer.exactly(3)
      assert.deepEqual(textsOf(consumer.received), ['first', 'second', 'third'])
    },

    async 'a group that was put to the end gets only what comes then'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport, { partitions: 1 })
      await publishAll(connection, topic, [message('old', { key: 'k' }), message('old', { key: 'k' })])
      const places = await connection.resetGroup(topic, group, { at: 'end' })
      assert.equal(messagesIn(places), 0)
      await publishAll(connection, topic, [message('new', { key: 'k' })])
      const consumer = await consume(connection, { topic, group, offsets: offsetsOf(places) })
      await consumer.exactly(1)
      assert.deepEqual(textsOf(consumer.received), ['new'])
    },

    async 'the end of an empty topic is before its first message'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport, { partitions: 1 })
      const places = await connection.resetGroup(topic, group, { at: 'end' })
      await publishAll(connection, topic, [message('first', { key: 'k' }), message('second', { key: 'k' })])
      const consumer = await consume(connection, { topic, group, offsets: offsetsOf(places) })
      await consumer.exactly(2)
      assert.deepEqual(textsOf(consumer.received), ['first', 'second'])
    },

    async 'a group that is new is made where it is put'(transport) {
      const { connection } = transport
      const topic = await transport.topic({ partitions: 1 })
      const group = transport.unusedName()
      await publishAll(connection, topic, [message('old', { key: 'k' })])
      const places = await connection.resetGroup(topic, group, { at: 'end' })
      await publishAll(connection, topic, [message('new', { key: 'k' })])
      const consumer = await consume(connection, { topic, group, startAt: { at: 'beginning' }, offsets: offsetsOf(places) })
      await consumer.exactly(1)
      assert.deepEqual(textsOf(consumer.received), ['new'])
    },

    async 'a group that was put to a time gets what came then or later'(transport) {
      const { topic, group, times } = await finishedByGroup(transport)
      const expected: readonly (readonly [timeMs: number, texts: readonly string[]])[] = [
        [times[1]!, ['second', 'third']],
        [times[2]! + 1, []],
        [times[0]! - 60_000, ['first', 'second', 'third']],
      ]
      for (const [timeMs, texts] of expected) {
        const consumer = await consumeFrom(transport, topic, group, { at: 'time', timeMs })
        await consumer.exactly(texts.length)
        assert.deepEqual(textsOf(consumer.received), texts)
        await consumer.close()
      }
    },

    async 'other groups stay where they are'(transport) {
      const { topic, group, offsets } = await finishedByGroup(transport)
      await transport.connection.resetGroup(topic, transport.unusedName(), { at: 'beginning' })
      const consumer = await consume(transport.connection, { topic, group, offsets })
      await publishAll(transport.connection, topic, [message('fourth', { key: 'k' })])
      await consumer.exactly(1)
      assert.deepEqual(textsOf(consumer.received), ['fourth'])
    },

    async 'of a topic that is not there'(transport) {
      const [topic, group] = [transport.unusedName(), transport.unusedName()]
      await assert.rejects(transport.connection.resetGroup(topic, group, { at: 'beginning' }), UnknownTopicError)
    },
  },
}

export const resetOfPartitions: TransportBehaviourGroup = {
  group: 'reset of partitions',
  requires: ({ ordering, name }) => (ordering === 'partition' ? true : `${name} keeps for each group what is finished`),
  behaviours: {
    async 'each partition has its place, in their order'(transport) {
      const { connection } = transport
      // A transport may have fewer partitions than it is asked for.
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      await publishAll(connection, topic, keyed(8, 2))
      const all = await consume(connection, { topic, group })
      await all.until(16)
      await all.close()
      const known = (await connection.lag(topic, group)).length
      const places = await connection.resetGroup(topic, group, { at: 'beginning' })
      const numbers = Array.from({ length: known }, (_, partition) => partition)
      assert.deepEqual(
        places.map(({ partition }) => partition),
        numbers,
      )
      for (const { partition, messages } of places)
        assert.equal(messages, all.received.filter((one) => one.partition === partition).length, `messages of partition ${partition}`)
      const ends = await connection.resetGroup(topic, group, { at: 'end' })
      for (const { partition, after } of ends) {
        const offsets = all.received.filter((one) => one.partition === partition).map(({ offset }) => offset!)
        assert.ok(after !== undefined && offsets.every((offset) => offset <= after), `the end of partition ${partition}`)
      }
    },
  },
}

export const withoutReset: TransportBehaviourGroup = {
  group: 'without reset',
  requires: (capabilities) => (keepsHistory(capabilities) === true ? `${capabilities.name} keeps history` : true),
  behaviours: {
    async 'a transport without history says that it cannot'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      for (const startAt of [{ at: 'beginning' }, { at: 'end' }, { at: 'time', timeMs: Date.now() }] as const)
        await assert.rejects(transport.connection.resetGroup(topic, group, startAt), UnsupportedByTransportError)
    },
  },
}

/** A topic of one partition with three messages, of which each came at a time of its own, and a group that has finished them. */
async function finishedByGroup(
  transport: TransportUnderTest,
): Promise<{ readonly topic: string; readonly group: string; readonly offsets: Offsets; readonly times: readonly number[] }> {
  const { topic, group } = await topicAndGroup(transport, { partitions: 1 })
  for (const text of ['first', 'second', 'third']) {
    await publishAll(transport.connection, topic, [message(text, { key: 'k' })])
    await delay(20)
  }
  const consumer = await consume(transport.connection, { topic, group })
  await consumer.exactly(3)
  await consumer.close()
  return { topic, group, offsets: consumer.offsets, times: consumer.received.map(({ timeMs }) => timeMs!) }
}

async function consumeFrom({ connection }: TransportUnderTest, topic: string, group: string, startAt: StartAt): Promise<Consumer> {
  const places = await connection.resetGroup(topic, group, startAt)
  return consume(connection, { topic, group, offsets: offsetsOf(places) })
}

function offsetsOf(places: readonly GroupPlace[]): Offsets {
  return new Map(
    places.flatMap(({ partition, after }): [number, number][] =>
      partition !== undefined && after !== undefined ? [[partition, after]] : [],
    ),
  )
}

function messagesIn(places: readonly GroupPlace[]): number {
  return places.reduce((sum, { messages }) => sum + messages, 0)
}
