import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../transport/port.ts'
import { eventually } from '../storage/patience.ts'
import type { InterruptibleTransport, TransportBehaviourGroup, TransportUnderTest } from './behaviour.ts'
import { consume, quiet, topicAndGroup } from './consumer.ts'
import { keyed, message, publishAll, textOf, textsByKey, textsOf } from './messages.ts'

export const interruptions: TransportBehaviourGroup = {
  group: 'interruptions',
  requires: (_, { interruptible }) => (interruptible ? true : 'the harness has no line that can be interrupted'),
  behaviours: {
    async 'connections cut while publishing: what is confirmed is there, and no message of a key overtakes another one'(transport) {
      const { line, connection } = await connectionOverLine(transport)
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const calls: Promise<readonly OutgoingMessage[]>[] = []
      for (let call = 0; call < 60; call++) {
        const messages = keyed(5, 10, call * 10)
        calls.push(connection.publish(topic, messages).then((outcomes) => messages.filter((_, index) => outcomes[index]?.ok)))
        if (call % 20 === 10) line.cut()
        await delay(2)
      }
      const confirmed = (await Promise.all(calls)).flat()
      assert.ok(confirmed.length > 0)
      const consumer = await consume(transport.connection, { topic, group })
      await eventually('what was confirmed is received', () => {
        const received = new Set(textsOf(consumer.received))
        return textsOf(confirmed).every((text) => received.has(text))
      })
      if (transport.capabilities.ordering !== 'none') assertFirstsInOrder(consumer.received)
      assert.equal(confirmed.length, 60 * 50, 'a moment without a connection is waited for')
    },

    async 'connections cut while consuming: everything comes, without anybody subscribing again'(transport) {
      const { line, connection } = await connectionOverLine(transport)
      const { topic, group } = await topicAndGroup(transport, { partitions: 2 })
      const consumer = await consume(connection, { topic, group, maxMessages: 20 })
      for (let round = 0; round < 4; round++) {
        await publishAll(transport.connection, topic, keyed(5, 10, round * 10))
        await eventually('it goes on', () => new Set(textsOf(consumer.received)).size > round * 50)
        line.cut()
      }
      await publishAll(transport.connection, topic, [message('k0 40', { key: 'k0' })])
      await eventually('everything is received', () => new Set(textsOf(consumer.received)).size === 201)
      if (transport.capabilities.ordering !== 'none') assertFirstsInOrder(consumer.received)
    },

    async 'a server that is away for a moment is waited for'(transport) {
      const { line, connection } = await connectionOverLine(transport)
      const { topic, group } = await topicAndGroup(transport)
      const consumer = await consume(connection, { topic, group })
      await publishAll(connection, topic, [message('before')])
      await consumer.until(1)
      line.refuse()
      const during = publishAll(connection, topic, [message('during')])
      // Awaited below; should it fail at once, that is early enough.
      during.catch(() => undefined)
      for (let count = 0; count < 3; count++) await quiet()
      line.accept()
      await during
      await eventually('it is received', () => textsOf(consumer.received).includes('during'))
      await publishAll(connection, topic, [message('after')])
      await eventually('it is received', () => textsOf(consumer.received).includes('after'))
    },

    async 'a connection whose server is away can be closed'(transport) {
      const { line, connection } = await connectionOverLine(transport)
      const { topic, group } = await topicAndGroup(transport)
      await consume(connection, { topic, group, releaseTimeoutMs: 500 })
      await quiet()
      line.refuse()
      await quiet()
      let isClosed = false
      const closing = connection.close().finally(() => (isClosed = true))
      closing.catch(() => undefined)
      await eventually('it is closed', () => isClosed)
    },
  },
}

/** A connection over a line of its own, beside the one that cannot be interrupted. */
async function connectionOverLine(
  transport: TransportUnderTest,
): Promise<{ readonly line: InterruptibleTransport; readonly connection: TransportConnection }> {
  const line = await transport.harness.interruptible!()
  transport.atEnd(async () => line.accept())
  const connection = await transport.connect(line.transport)
  transport.atEnd(async () => {
    await connection.close()
    await line.close()
  })
  return { line, connection }
}

/** Of each key, every message came the first time only after the ones before it; repetitions do not count. */
function assertFirstsInOrder(received: readonly ReceivedMessage[]): void {
  const seen = new Set<string>()
  const firsts = received.filter((one) => !seen.has(textOf(one)) && seen.add(textOf(one)))
  for (const [key, texts] of Object.entries(textsByKey(firsts))) {
    const numbers = texts.map((text) => Number(text.split(' ')[1]))
    assert.deepEqual(
      numbers,
      numbers.toSorted((one, other) => one - other),
      `the order of ${key}`,
    )
  }
}
