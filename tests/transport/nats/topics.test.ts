import { expect, test } from 'vitest'
import {
  MessageTooLargeError,
  TopicMismatchError,
  UnknownTopicError,
  UnsupportedBrokerError,
  UnsupportedByTransportError,
} from '../../../src/transport/errors.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { collectAll, connectBoth, message } from './support.ts'

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `topics of ${broker}`, (address) => {
    test('are made as asked for, and one that differs is a mismatch', async () => {
      const both = await connectBoth(address, { storage: 'memory', duplicateWindowMs: 60_000 })
      const name = both.newName()
      const spec = { name, retentionMs: 30_000, settings: { max_bytes: '1000000', discard: 'new' } }
      await both.connection.ensureTopic(spec)
      const { config } = await both.manager.streams.info(name)
      expect(config).toMatchObject({ subjects: [`${name}.>`], storage: 'memory', max_age: 30e9, max_bytes: 1_000_000, discard: 'new' })
      expect(config.duplicate_window, 'never longer than messages are kept').toBe(30e9)
      await both.connection.ensureTopic(spec)
      await both.connection.ensureTopic({ name })
      await expect(both.connection.ensureTopic({ name, retentionMs: 60_000 })).rejects.toThrow(TopicMismatchError)
      await expect(both.connection.ensureTopic({ name, settings: { max_msgs: '5' } })).rejects.toThrow('max_msgs = -1, not 5')
      const others = await connectBoth(address, { storage: 'file' })
      await expect(others.connection.ensureTopic({ name })).rejects.toThrow('storage = memory, not file')
    })

    test('of somebody else are taken when they fit, and refused when messages would vanish or not be taken', async () => {
      const { connection, manager, newName } = await connectBoth(address)
      const [fitting, queue, elsewhere] = [newName(), newName(), newName()]
      await manager.streams.add({ name: fitting, subjects: [`${fitting}.>`, `also.${fitting}`] })
      await connection.ensureTopic({ name: fitting })
      await manager.streams.add({ name: queue, subjects: [`${queue}.>`], retention: 'workqueue' })
      await expect(connection.ensureTopic({ name: queue })).rejects.toThrow('retention = workqueue, not limits')
      await manager.streams.add({ name: elsewhere, subjects: [`other.${elsewhere}`] })
      await expect(connection.ensureTopic({ name: elsewhere })).rejects.toThrow(TopicMismatchError)
    })

    test('with settings that nobody knows are refused', async () => {
      const { connection, newName } = await connectBoth(address)
      const name = newName()
      await expect(connection.ensureTopic({ name, settings: { max_msgs: 'many' } })).rejects.toThrow(UnsupportedByTransportError)
      await expect(connection.ensureTopic({ name, settings: { 'cleanup.policy': 'compact' } })).rejects.toThrow('cleanup.policy')
    })

    test('whose name NATS forbids are kept apart from each other', async () => {
      const both = await connectBoth(address)
      const base = both.newName()
      const names = [`${base}.a b`, `${base}.a=20b`, `${base}/ż>*`]
      for (const name of names) await both.connection.ensureTopic({ name })
      for (const name of names) expect(await both.connection.publish(name, [message(name)])).toEqual([{ ok: true }])
      for (const name of names) {
        const received = await collectAll(both, name, { group: 'a group. of *' })
        await eventually(() => expect(received.map(({ topic, body }) => [topic, Buffer.from(body).toString()])).toEqual([[name, name]]))
      }
      for await (const { config } of both.manager.streams.list())
        if (config.name.startsWith(base)) await both.manager.streams.delete(config.name)
    })

    test('have limits of their own, which refuse what does not fit for good', async () => {
      const { connection, manager, newName } = await connectBoth(address)
      const name = newName()
      await connection.ensureTopic({ name, settings: { max_msg_size: '1000' } })
      const [large, fits] = await connection.publish(name, [message('x'.repeat(2_000), { key: 'k' }), message('y', { key: 'k' })])
      expect(large).toMatchObject({ ok: false, refused: true })
      expect(large && !large.ok && large.error).toBeInstanceOf(MessageTooLargeError)
      expect(large && !large.ok && large.error.message).toContain("the topic's max_msg_size is 1000")
      expect(fits).toEqual({ ok: true })
      expect((await manager.streams.info(name)).state.messages).toBe(1)
    })

    test('that are full take nothing for the moment', async () => {
      const { connection, manager, newName } = await connectBoth(address, { publishTimeoutMs: 400 })
      const name = newName()
      await connection.ensureTopic({ name, settings: { max_msgs: '1', discard: 'new' } })
      expect(await connection.publish(name, [message('fits')])).toEqual([{ ok: true }])
      const late = [message('first', { key: 'k' }), message('second', { key: 'k' })]
      const outcomes = await connection.publish(name, late)
      const error = { code: 'transport-unavailable', cause: { message: 'maximum messages exceeded' } }
      for (const outcome of outcomes) expect(outcome).toMatchObject({ ok: false, refused: false, error })
      await manager.streams.purge(name)
      expect(await connection.publish(name, late.slice(0, 1))).toEqual([{ ok: true }])
    })

    test('have groups, of which those of somebody else must not give up or skip messages', async () => {
      const { connection, manager, newName } = await connectBoth(address)
      const name = newName()
      await connection.ensureTopic({ name })
      await connection.ensureGroup(name, 'ours', { at: 'end' })
      const { config } = await manager.consumers.info(name, 'ours')
      expect(config).toMatchObject({ ack_policy: 'explicit', max_deliver: -1, ack_wait: 1e9, deliver_policy: 'new' })
      await connection.ensureGroup(name, 'ours', { at: 'beginning' })
      await manager.consumers.add(name, { durable_name: 'impatient', ack_policy: 'explicit', max_deliver: 3 })
      await expect(connection.ensureGroup(name, 'impatient', { at: 'end' })).rejects.toThrow(
        'max_deliver of the group impatient = 3, not -1',
      )
      await manager.consumers.add(name, { durable_name: 'careless', ack_policy: 'none' })
      await expect(connection.ensureGroup(name, 'careless', { at: 'end' })).rejects.toThrow(TopicMismatchError)
      await manager.consumers.add(name, { durable_name: 'picky', ack_policy: 'explicit', filter_subject: `${name}.a` })
      await expect(connection.ensureGroup(name, 'picky', { at: 'end' })).rejects.toThrow('filter_subject')
    })

    test('have a lag for a group that is not there yet, and none when they are not there', async () => {
      const { connection, newName } = await connectBoth(address)
      const name = newName()
      await connection.ensureTopic({ name })
      await connection.publish(name, [message('1'), message('2')])
      expect(await connection.lag(name, 'nobody')).toEqual([{ partition: undefined, messages: 2 }])
      await expect(connection.lag(newName(), 'nobody')).rejects.toThrow(UnknownTopicError)
    })
  })

describeOnBroker('NATS JetStream 2.9', 'what NATS 2.9 would ignore without a word', (address) => {
  test('is refused by name', async () => {
    const { connection, newName } = await connectBoth(address)
    const name = newName()
    await expect(connection.ensureTopic({ name, settings: { compression: 's2' } })).rejects.toThrow(UnsupportedBrokerError)
    await expect(connection.ensureTopic({ name, settings: { compression: 's2' } })).rejects.toThrow('needs NATS 2.10; this is 2.9')
  })
})

describeOnBroker('NATS JetStream', 'what NATS knows since 2.10', (address) => {
  test('is used', async () => {
    const { connection, manager, newName } = await connectBoth(address)
    const name = newName()
    await connection.ensureTopic({ name, settings: { compression: 's2' } })
    expect((await manager.streams.info(name)).config.compression).toBe('s2')
    await expect(connection.ensureTopic({ name, settings: { compression: 'none' } })).rejects.toThrow(TopicMismatchError)
  })
})
