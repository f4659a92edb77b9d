import { jetstream } from '@nats-io/jetstream'
import { headers } from '@nats-io/transport-node'
import { CloudEvent, HTTP } from 'cloudevents'
import { expect, test } from 'vitest'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { collectAll, connectBoth, message } from './support.ts'

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `other programs on ${broker}`, (address) => {
    test('a raw client finds a CloudEvent where the binding says, on the subject of its type', async () => {
      const both = await connectBoth(address)
      const topic = both.newName()
      await both.connection.ensureTopic({ name: topic })
      const attributes = { specversion: '1.0', id: 'e-1', source: '/orders', type: 'com.example.OrderPlaced', subject: 'żółć' }
      const sent = message('{"total":3}', { id: `${topic}-1`, key: 'order 1', attributes, headers: { 'content-type': 'application/json' } })
      expect(await both.connection.publish(topic, [sent])).toEqual([{ ok: true }])

      const stored = await both.manager.streams.getMessage(topic, { seq: 1 })
      expect(stored?.subject).toBe(`${topic}.com.example.OrderPlaced`)
      const found = Object.fromEntries([...(stored?.header ?? [])].map(([name, [value]]) => [name, value]))
      expect(found).toEqual({
        'Nats-Msg-Id': `${topic}-1`,
        'headwater-key': 'order%201',
        'ce-specversion': '1.0',
        'ce-id': 'e-1',
        'ce-source': '/orders',
        'ce-type': 'com.example.OrderPlaced',
        'ce-subject': '%C5%BC%C3%B3%C5%82%C4%87',
        'ce-datacontenttype': 'application/json',
        'content-type': 'application/json',
      })
      const event = HTTP.toEvent({ headers: found, body: stored?.string() ?? '' })
      expect(event).toMatchObject({ id: 'e-1', source: '/orders', type: 'com.example.OrderPlaced', data: { total: 3 } })
    })

    test('a CloudEvent of another library is read, with an id of the broker that stays the same', async () => {
      const both = await connectBoth(address)
      const topic = both.newName()
      await both.connection.ensureTopic({ name: topic })
      const event = HTTP.binary(new CloudEvent({ id: 'x1', source: '/billing', type: 'Paid', data: { amount: 7 } }))
      const given = headers()
      for (const [name, value] of Object.entries(event.headers)) given.append(name === 'ce-id' ? 'Ce-Id' : name, String(value))
      await jetstream(both.raw).publish(`${topic}.anything.else`, String(event.body), { headers: given })

      const [one, other] = [await collectAll(both, topic), await collectAll(both, topic)]
      await eventually(() => expect([one.length, other.length]).toEqual([1, 1]))
      expect(one[0]).toMatchObject({ key: undefined, attributes: { id: 'x1', source: '/billing', type: 'Paid', specversion: '1.0' } })
      expect(one[0]!.headers['content-type']).toMatch(/^application\/json/)
      expect(Buffer.from(one[0]!.body).toString()).toBe('{"amount":7}')
      expect(one[0]!.id).toContain(topic)
      expect(other[0]!.id).toBe(one[0]!.id)
    })

    test('what makes no sense is given with its body, and stops nobody', async () => {
      const both = await connectBoth(address)
      const topic = both.newName()
      await both.connection.ensureTopic({ name: topic })
      const odd = headers()
      odd.append('headwater-key', '100%')
      odd.append('headwater-headers', '%7Bnot json')
      odd.append('ce-source', '%zz')
      odd.append('x-double', 'one')
      odd.append('x-double', 'two')
      await jetstream(both.raw).publish(`${topic}.a`, 'odd', { headers: odd })
      // A header name with a blank, which the client library of the consumer refuses to parse.
      const broken = { encode: () => Buffer.from('NATS/1.0\r\nbad name: 1\r\n\r\n') } as unknown as typeof odd
      both.raw.publish(`${topic}.b`, 'broken', { headers: broken })
      await jetstream(both.raw).publish(`${topic}.c`, 'bare')

      const received = await collectAll(both, topic)
      await eventually(() => expect(received.length).toBe(3))
      expect(received.map(({ body }) => Buffer.from(body).toString())).toEqual(['odd', 'broken', 'bare'])
      expect(received[0]).toMatchObject({ key: '100%', attributes: { source: '%zz' }, headers: { 'x-double': 'one' } })
      expect(received[2]).toMatchObject({ key: undefined, attributes: {}, headers: {} })
    })
  })
