import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { StartAt, TransportCapabilities } from '../../transport/port.ts'
import { Patience } from '../storage/patience.ts'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { message, publishAll, textsOf } from './messages.ts'

const knows =
  (at: StartAt['at']) =>
  ({ startAt, name }: TransportCapabilities): true | string =>
    startAt.includes(at) ? true : `${name} cannot begin at: ${at}`

export const startAtBeginning: TransportBehaviourGroup = {
  group: 'start at the beginning',
  requires: knows('beginning'),
  behaviours: {
    async 'a group that is made later gets what is there'(transport) {
      const topic = await transport.topic()
      await publishAll(transport.connection, topic, [message('old', { key: 'k' })])
      const startAt: StartAt = { at: 'beginning' }
      const prepared = transport.unusedName()
      await transport.connection.ensureGroup(topic, prepared, startAt)
      await publishAll(transport.connection, topic, [message('new', { key: 'k' })])
      for (const group of [prepared, transport.unusedName()]) {
        const consumer = await consume(transport.connection, { topic, group, startAt })
        await consumer.exactly(2)
        assert.deepEqual(textsOf(consumer.received).toSorted(), ['new', 'old'])
      }
    },
  },
}

export const startAtEnd: TransportBehaviourGroup = {
  group: 'start at the end',
  requires: knows('end'),
  behaviours: {
    async 'a group gets nothing that was there before, and what comes then'(transport) {
      const { connection } = transport
      const topic = await transport.topic()
      await publishAll(connection, topic, [message('old'), message('old')])
      const consumer = await consume(await transport.connect(), { topic, group: transport.unusedName(), startAt: { at: 'end' } })
      // When a member has begun is for the broker to know: something new is published until it comes.
      const patience = new Patience('something new comes')
      for (let count = 0; consumer.received.length === 0; count++) {
        await publishAll(connection, topic, [message(`new ${count}`)])
        await delay(50)
        patience.check()
      }
      assert.ok(!textsOf(consumer.received).includes('old'))
    },
  },
}

export const startAtEndOfQueue: TransportBehaviourGroup = {
  group: 'start at the end of a queue',
  requires: (capabilities) =>
    capabilities.ordering === 'partition'
      ? `${capabilities.name} keeps messages for everybody, not for its groups`
      : knows('end')(capabilities),
  behaviours: {
    async 'a group that was made before misses nothing'(transport) {
      const { connection } = transport
      const topic = await transport.topic()
      const group = transport.unusedName()
      await publishAll(connection, topic, [message('old')])
      await connection.ensureGroup(topic, group, { at: 'end' })
      await publishAll(connection, topic, [message('while nobody listens')])
      await connection.ensureGroup(topic, group, { at: 'end' })
      const consumer = await consume(connection, { topic, group, startAt: { at: 'end' } })
      await consumer.exactly(1)
      assert.deepEqual(textsOf(consumer.received), ['while nobody listens'])
    },
  },
}

export const startAtTime: TransportBehaviourGroup = {
  group: 'start at a time',
  requires: knows('time'),
  behaviours: {
    async 'a group gets what came at that time or later'(transport) {
      const { connection } = transport
      const { topic, group } = await topicAndGroup(transport)
      for (const text of ['first', 'second', 'third']) {
        await publishAll(connection, topic, [message(text, { key: 'k' })])
        await delay(30)
      }
      const all = await consume(connection, { topic, group, startAt: { at: 'beginning' } })
      await all.exactly(3)
      const times = all.received.map(({ timeMs }) => timeMs)
      const [first, second, third] = times
      assert.ok(first !== undefined && second !== undefined && third !== undefined, 'a broker that knows times says them')
      assert.ok(first < second && second < third, times.join(' '))
      const expected: readonly (readonly [timeMs: number, texts: readonly string[]])[] = [
        [second, ['second', 'third']],
        [second + 1, ['third']],
        [first - 60_000, ['first', 'second', 'third']],
      ]
      for (const [timeMs, texts] of expected) {
        const consumer = await consume(connection, { topic, group: transport.unusedName(), startAt: { at: 'time', timeMs } })
        await consumer.exactly(texts.length)
        assert.deepEqual(textsOf(consumer.received), texts)
      }
    },

    async 'a time at which nothing has come yet is the end'(transport) {
      const { connection } = transport
      const topic = await transport.topic()
      await publishAll(connection, topic, [message('old', { key: 'k' })])
      await delay(20)
      const startAt: StartAt = { at: 'time', timeMs: Date.now() + 1 }
      await delay(20)
      const consumer = await consume(connection, { topic, group: transport.unusedName(), startAt })
      await publishAll(connection, topic, [message('new', { key: 'k' })])
      await consumer.exactly(1)
      assert.deepEqual(textsOf(consumer.received), ['new'])
    },
  },
}
