import { expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { nats } from '../../../src/transport/nats/index.ts'
import type { ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { collect } from '../collect.ts'
import { connectBoth, message } from './support.ts'

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `messages that ${broker} gives up, since somebody has told it to`, (address) => {
    test('are gone on with by whoever is there, and the group gives up nothing more', async () => {
      const { direct, topic, given, received } = await giveUp({ finishes: true })
      expect(received).toMatchObject([{ id: 'id-1', key: 'k', headers: { 'x-own': 'kept' }, offset: 1, timeMs: given.timeMs }])
      expect((await direct.manager.consumers.info(topic, 'g')).config.max_deliver).toBe(-1)
      await eventually(async () => expect(await direct.connection.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 0 }]))
    })

    test('are named when they are left unfinished, since nobody else gets them', async () => {
      const { said, living } = await giveUp({ finishes: false })
      const lost = 'messages that NATS had given up are left unfinished, and lost to the group'
      expect(said).not.toContain(lost)
      await living.close()
      expect(said.filter((text) => text === lost)).toHaveLength(1)
    })

    /** One process takes a message and dies; another one of the group is there when the server gives the message up. */
    async function giveUp(how: { readonly finishes: boolean }) {
      const [host = '127.0.0.1', port] = address.split(':')
      const proxy = await startTcpProxy({ host, port: Number(port) })
      onTestFinished(() => proxy.close())
      const direct = await connectBoth(address)
      const dying = await connectBoth(`127.0.0.1:${proxy.port}`)
      const topic = direct.newName()
      const limit = (max_deliver: number): Promise<unknown> => direct.manager.consumers.update(topic, 'g', { max_deliver })
      await direct.connection.ensureTopic({ name: topic })
      await direct.connection.publish(topic, [message('given up', { id: 'id-1', key: 'k', headers: { 'x-own': 'kept' } })])
      const held = await consume(dying.connection, topic, { finishes: false })
      await eventually(() => expect(held.length).toBe(1))

      const said: string[] = []
      const log = (_level: string, text: string): void => void said.push(text)
      const living = await nats({ servers: address }).connect({ environment: environment({ log }), clientName: 'living' })
      onTestFinished(() => living.close())
      await limit(1)
      await expect(living.ensureGroup(topic, 'g', { at: 'beginning' })).rejects.toThrow('max_deliver of the group g = 1, not -1')
      await limit(-1)
      const received = await consume(living, topic, how)
      await limit(1)

      proxy.refuse()
      await eventually(() => expect(received.length).toBe(1))
      expect(said.filter((text) => text.startsWith('NATS has given up a message'))).toHaveLength(1)
      return { direct, living, topic, said, received, given: held[0]! }
    }
  })

function consume(connection: TransportConnection, topic: string, how: { readonly finishes: boolean }): Promise<ReceivedMessage[]> {
  return collect(connection, { topic, group: 'g', startAt: { at: 'beginning' }, maxMessages: 20, ...how })
}
