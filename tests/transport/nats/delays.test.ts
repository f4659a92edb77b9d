import { expect, test } from 'vitest'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { TopicMismatchError } from '../../../src/transport/errors.ts'
import type { ReceivedMessage } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { collect } from '../collect.ts'
import type { Connected } from './support.ts'
import { connectBoth, message } from './support.ts'

// That none comes too soon, and each once, is a promise of the port: the conformance suite tries it.

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `messages for later on ${broker}`, (address) => {
    test('hold up nobody, however many they are, and are no failures', async () => {
      const both = await connectBoth(address)
      const { connection, manager, newName } = both
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      const delayed = Array.from({ length: 3_000 }, (_, number) => message(`later ${number}`, { delayMs: 3_600_000 }))
      for (const outcome of await connection.publish(topic, delayed)) expect(outcome).toEqual({ ok: true })
      await connection.publish(topic, [message('now')])
      const received = await consume(both, topic)
      await eventually(() => expect(textsOf(received)).toEqual(['now']))
      await eventually(async () => {
        const info = await manager.consumers.info(topic, 'g')
        expect([info.num_pending, info.num_ack_pending, info.num_waiting > 0]).toEqual([0, 3_000, true])
      })
      expect(await connection.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 3_000 }])
    })

    test('are told from those that a lost connection left behind: nobody waits for them', async () => {
      const [host = '127.0.0.1', port] = address.split(':')
      await using proxy = await startTcpProxy({ host, port: Number(port) })
      const direct = await connectBoth(address)
      const through = await connectBoth(`127.0.0.1:${proxy.port}`, { ackWaitMs: 60_000 })
      const topic = direct.newName()
      await direct.connection.ensureTopic({ name: topic })
      const received = await consume(through, topic)
      await direct.connection.publish(topic, [message('later', { delayMs: 3_600_000 }), message('before')])
      await eventually(() => expect(textsOf(received)).toEqual(['before']))
      await eventually(async () => expect((await direct.manager.consumers.info(topic, 'g')).ack_floor.stream_seq).toBe(0))
      await eventually(async () => expect((await direct.manager.consumers.info(topic, 'g')).num_ack_pending).toBe(1))
      proxy.cut()
      await eventually(() => expect(through.metrics.value('headwater_transport_disconnects_total', { transport: 'nats' })).toBe(1))
      await direct.connection.publish(topic, [message('after')])
      // Well before `ackWaitMs` has passed.
      await eventually(() => expect(textsOf(received)).toEqual(['before', 'after']), 30_000)
    })

    test('are told by whoever takes over, too', async () => {
      const before = await connectBoth(address, { ackWaitMs: 60_000 })
      const topic = before.newName()
      await before.connection.ensureTopic({ name: topic })
      const delayed = Array.from({ length: 200 }, () => message('later', { delayMs: 3_600_000, attributes: { type: 'a.b' } }))
      await before.connection.publish(topic, [...delayed, message('before')])
      const first = await consume(before, topic)
      await eventually(() => expect(textsOf(first)).toEqual(['before']))
      await before.connection.publish(topic, [message('soon', { delayMs: 2_000 })])
      await eventually(async () => expect(await before.connection.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 201 }]))
      await eventually(async () => expect((await before.manager.consumers.info(topic, 'g')).num_ack_pending).toBe(201))
      await before.connection.close()

      const after = await connectBoth(address)
      await after.connection.publish(topic, [message('after')])
      const second = await consume(after, topic)
      // Well before `ackWaitMs` has passed.
      await eventually(() => expect(textsOf(second).toSorted()).toEqual(['after', 'soon']), 30_000)
      const names: string[] = []
      for await (const { name } of after.manager.consumers.list(topic)) names.push(name)
      expect(names).toEqual(['g'])
    })

    test('say in a header when they are due, which anybody can set', async () => {
      const both = await connectBoth(address)
      const topic = both.newName()
      await both.connection.ensureTopic({ name: topic })
      const { headers } = await import('@nats-io/transport-node')
      const received = await consume(both, topic)
      const given = headers()
      const dueMs = Date.now() + 3_000
      given.set('Headwater-Deliver-At', String(dueMs))
      both.raw.publish(`${topic}.a`, 'theirs', { headers: given })
      const senseless = headers()
      senseless.set('headwater-deliver-at', 'tomorrow')
      both.raw.publish(`${topic}.a`, 'senseless', { headers: senseless })
      await eventually(() => expect(textsOf(received)).toEqual(['senseless', 'theirs']))
      expect(Date.now()).toBeGreaterThanOrEqual(dueMs)
      expect(received.map((one) => one.headers)).toEqual([{}, {}])
    })

    test('need a group that has no limit of what it has given out', async () => {
      const { connection, manager, newName } = await connectBoth(address)
      const topic = newName()
      await connection.ensureTopic({ name: topic })
      await connection.ensureGroup(topic, 'ours', { at: 'end' })
      expect((await manager.consumers.info(topic, 'ours')).config.max_ack_pending).toBe(-1)
      // The server's default is 1,000.
      await manager.consumers.add(topic, { durable_name: 'narrow', ack_policy: 'explicit' })
      const narrow = connection.ensureGroup(topic, 'narrow', { at: 'end' })
      await expect(narrow).rejects.toThrow(TopicMismatchError)
      await expect(narrow).rejects.toThrow('max_ack_pending of the group narrow = 1000, not -1')
    })
  })

function consume({ connection }: Connected, topic: string): Promise<ReceivedMessage[]> {
  return collect(connection, { topic, group: 'g', startAt: { at: 'beginning' }, maxMessages: 20 })
}

function textsOf(messages: readonly ReceivedMessage[]): readonly string[] {
  return messages.map(({ body }) => Buffer.from(body).toString())
}
