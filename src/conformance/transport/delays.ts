import assert from 'node:assert/strict'
import { UnsupportedByTransportError } from '../../transport/errors.ts'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../transport/port.ts'
import type { TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import type { Consumer } from './consumer.ts'
import { consume, startOf, topicAndGroup } from './consumer.ts'
import { assertSame, message, publishAll, textOf, textsOf } from './messages.ts'

/** Clocks of brokers count whole milliseconds. */
const toleranceMs = 5

export const delays: TransportBehaviourGroup = {
  group: 'delays',
  requires: ({ maxDelayMs, name }) => (maxDelayMs > 0 ? true : `${name} gives out no message later`),
  behaviours: {
    async 'a message is given out no sooner than its delay, and those that are sent after it meanwhile'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const watch = await startWatch(transport, topic, group)
      await watch.publish([message('later', { key: 'k', delayMs: 2_000 }), message('now', { key: 'k' })])
      await watch.publish([message('now too', { key: 'k', delayMs: 0 })])
      await watch.consumer.exactly(3)
      assert.deepEqual(textsOf(watch.consumer.received).toSorted(), ['later', 'now', 'now too'])
      assert.equal(textOf(watch.consumer.received[2]!), 'later')
      watch.assertNoneTooSoon()
    },

    async 'one with a short delay does not wait for one with a long delay'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const watch = await startWatch(transport, topic, group)
      const sent = [4_000, 1_000, 3_000, 1_000].map((delayMs, index) => message(`${index}`, { delayMs }))
      await watch.publish(sent)
      await watch.consumer.exactly(sent.length)
      const texts = textsOf(watch.consumer.received)
      assert.deepEqual([...texts.slice(0, 2).toSorted(), ...texts.slice(2).toSorted()], ['1', '3', '0', '2'])
      watch.assertNoneTooSoon()
    },

    async 'of many each comes once, and none too soon'(transport) {
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const watch = await startWatch(transport, topic, group)
      const sent = Array.from({ length: 300 }, (_, index) => message(`m${index}`, { key: `k${index % 7}`, delayMs: (index % 4) * 500 }))
      await watch.publish(sent)
      await watch.consumer.exactly(sent.length)
      assertSame(watch.consumer.received, sent)
      watch.assertNoneTooSoon()
    },

    async 'one outlives the end of its publisher, and is what was sent'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const watch = await startWatch(transport, topic, group)
      const publisher = await transport.connect()
      const attributes = { specversion: '1.0', id: 'e1', source: 's', type: 'Reminded' }
      const headers = { 'content-type': 'application/json', 'x-own': 'kept' }
      const sent = message('{"n":1}', { key: 'k', attributes, headers, delayMs: 1_500 })
      await watch.publish([sent], publisher)
      await publisher.close()
      await watch.consumer.exactly(1)
      watch.assertNoneTooSoon()
      assert.deepEqual(contentOf(watch.consumer.received[0]!), contentOf(sent))
    },

    async 'each group gets it'(transport) {
      const { topic, group } = await topicAndGroup(transport)
      const other = transport.unusedName()
      await transport.connection.ensureGroup(topic, other, startOf(transport.capabilities))
      const watches = await Promise.all([group, other].map((one) => startWatch(transport, topic, one)))
      await watches[0]!.publish([message('later', { delayMs: 1_000 })])
      for (const { consumer } of watches) await consumer.exactly(1)
      watches[0]!.assertNoneTooSoon()
    },
  },
}

export const impossibleDelays: TransportBehaviourGroup = {
  group: 'impossible delays',
  behaviours: {
    async 'are refused, each by itself, with the limit named, and never arrive'(transport) {
      const { connection, capabilities } = transport
      const { topic, group } = await topicAndGroup(transport)
      const impossible = [capabilities.maxDelayMs + 1, -1, Number.NaN, Infinity]
      const sent = [undefined, ...impossible, 0].map((delayMs, index) =>
        message(`m${index}`, { key: 'k', ...(delayMs !== undefined && { delayMs }) }),
      )
      const outcomes = await connection.publish(topic, sent)
      assert.deepEqual(
        outcomes.map((outcome) => outcome.ok || outcome.refused),
        sent.map(() => true),
      )
      assert.deepEqual(
        outcomes.map(({ ok }) => ok),
        [true, false, false, false, false, true],
      )
      for (const outcome of outcomes) {
        if (outcome.ok) continue
        assert.ok(outcome.error instanceof UnsupportedByTransportError, String(outcome.error))
        assert.match(outcome.error.message, new RegExp(`maxDelayMs.*\\b${capabilities.maxDelayMs}\\b`))
      }
      const consumer = await consume(connection, { topic, group })
      await consumer.exactly(2)
      assert.deepEqual(textsOf(consumer.received).toSorted(), ['m0', 'm5'])
    },
  },
}

interface Watch {
  readonly consumer: Consumer
  publish(messages: readonly OutgoingMessage[], connection?: TransportConnection): Promise<void>
  /** Of what was published by the watch and has come; the texts of messages are their names. */
  assertNoneTooSoon(): void
}

/** A consumer that is there before anything is sent and notes when each message came, so that none seems later than it was. */
async function startWatch(transport: TransportUnderTest, topic: string, group: string): Promise<Watch> {
  const dueMs = new Map<string, number>()
  const cameMs = new Map<string, number>()
  const consumer = await consume(await transport.connect(), {
    topic,
    group,
    maxMessages: 1_000,
    async handle(batch, partition, self) {
      for (const one of batch) cameMs.set(textOf(one), performance.now())
      await self.finish(batch, partition)
    },
  })
  return {
    consumer,
    async publish(messages, connection = transport.connection) {
      const nowMs = performance.now()
      for (const one of messages) dueMs.set(textOf(one), nowMs + (one.delayMs ?? 0))
      await publishAll(connection, topic, messages)
    },
    assertNoneTooSoon() {
      for (const [text, atMs] of dueMs) {
        const earlyMs = atMs - cameMs.get(text)!
        assert.ok(earlyMs <= toleranceMs, `${text} came ${earlyMs} ms too soon`)
      }
    },
  }
}

function contentOf({ id, key, attributes, headers, body }: OutgoingMessage | ReceivedMessage): unknown {
  return { id, key, attributes: { ...attributes }, headers: { ...headers }, body: Buffer.from(body).toString() }
}
