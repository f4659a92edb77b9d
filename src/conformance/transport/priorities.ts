import assert from 'node:assert/strict'
import type { TransportBehaviourGroup } from './behaviour.ts'
import { consume, topicAndGroup } from './consumer.ts'
import { message, publishAll, textsOf } from './messages.ts'

export const priorities: TransportBehaviourGroup = {
  group: 'priorities',
  requires: ({ priorities: has, name }) => (has ? true : `${name} has no priorities`),
  behaviours: {
    async 'what waits is given out by priority, and in order within one'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = Array.from({ length: 18 }, (_, index) => {
        const priority = (['low', 'normal', 'high'] as const)[index % 3]!
        return message(`${priority} ${index}`, { priority, key: 'k' })
      })
      await publishAll(transport.connection, topic, [...sent, message('normal by default', { key: 'k' })])
      const consumer = await consume(transport.connection, { topic, group, maxMessages: 1 })
      await consumer.exactly(sent.length + 1)
      const of = (priority: string): readonly string[] => textsOf(sent).filter((text) => text.startsWith(priority))
      assert.deepEqual(textsOf(consumer.received), [...of('high'), ...of('normal'), 'normal by default', ...of('low')])
    },
  },
}

export const withoutPriorities: TransportBehaviourGroup = {
  group: 'without priorities',
  requires: ({ priorities: has, name }) => (has ? `${name} has priorities` : true),
  behaviours: {
    async 'one that is given changes nothing'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const sent = [message('low', { priority: 'low', key: 'k' }), message('high', { priority: 'high', key: 'k' })]
      await publishAll(transport.connection, topic, sent)
      const consumer = await consume(transport.connection, { topic, group })
      await consumer.exactly(2)
      if (transport.capabilities.ordering !== 'none') assert.deepEqual(textsOf(consumer.received), ['low', 'high'])
      assert.deepEqual(
        consumer.received.map(({ headers }) => headers),
        [{}, {}],
      )
    },
  },
}
