import { randomUUID } from 'node:crypto'
import type { AsyncMessage, Envelope } from 'rabbitmq-client'
import { expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { MessageTooLargeError, UnsupportedByTransportError } from '../../../src/transport/errors.ts'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { rabbitmq } from '../../../src/transport/rabbitmq/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { recorded, removeTopic, withClient } from './recorded.ts'

describeOnBroker('RabbitMQ', 'RabbitMQ, spoken with others', (url) => {
  const metrics = new InMemoryMetrics()

  async function topicWithGroup(): Promise<{ readonly topic: string; readonly connection: TransportConnection }> {
    const topic = `interop-${randomUUID()}`
    const connection = await recorded(rabbitmq({ url })).connect({
      environment: environment({ log: silentLog, metrics }),
      clientName: 'interop',
    })
    onTestFinished(async () => {
      await connection.close()
      await removeTopic(url, topic)
    })
    await connection.ensureTopic({ name: topic })
    await connection.ensureGroup(topic, 'g', { at: 'end' })
    return { topic, connection }
  }

  async function receive(connection: TransportConnection, topic: string, count: number): Promise<readonly ReceivedMessage[]> {
    const received: ReceivedMessage[] = []
    const subscription = await connection.subscribe({
      topic,
      group: 'g',
      startAt: { at: 'end' },
      maxMessages: 100,
      maxBytes: 1_000_000,
      releaseTimeoutMs: 1_000,
      async run(partition) {
        for await (const batch of partition.read()) {
          received.push(...batch)
          await partition.acknowledge(batch)
        }
      },
    })
    await eventually(() => expect(received.length).toBeGreaterThanOrEqual(count))
    await subscription.close()
    return received
  }

  /** What a foreign program sent, as we receive it. */
  async function fromForeign(...messages: readonly (readonly [envelope: Envelope, body: unknown])[]): Promise<readonly ReceivedMessage[]> {
    const { topic, connection } = await topicWithGroup()
    await withClient(url, async (client) => {
      const publisher = client.createPublisher({ confirm: true })
      for (const [envelope, body] of messages) await publisher.send({ exchange: topic, routingKey: 'x', ...envelope }, body)
      await publisher.close()
    })
    return receive(connection, topic, messages.length)
  }

  function outgoing(given: Partial<OutgoingMessage> = {}): OutgoingMessage {
    return { id: randomUUID(), key: undefined, attributes: {}, headers: {}, body: Buffer.from('{}'), ...given }
  }

  test('a message says nothing of its priority: there are quorum queues that would let it overtake', async () => {
    const { topic, connection } = await topicWithGroup()
    const published = [outgoing({ priority: 'low' }), outgoing({ priority: 'high' })]
    await connection.publish(topic, published)
    await withClient(url, async (client) => {
      for (const { id } of published) {
        const message = await client.basicGet({ queue: `${topic}.g`, noAck: true })
        expect(message?.messageId).toBe(id)
        expect(message?.priority).toBeUndefined()
      }
    })
  })

  test('bodies of others are handed out as the bytes they are, whatever they are said to be', async () => {
    const json = Buffer.from('{"position": 9007199254740993, "a":1, "a":2, "at": 1e400}')
    const broken = Buffer.from([0x7b, 0xff, 0xfe])
    const received = await fromForeign(
      [{ contentType: 'application/json' }, json],
      [{ contentType: 'application/json' }, broken],
      [{ contentType: 'text/plain' }, broken],
      [{ contentType: 'application/json', contentEncoding: 'utf-8' }, json],
    )
    expect(received.map(({ body }) => Buffer.from(body))).toEqual([json, broken, broken, json])
    expect(received.map(({ headers }) => headers['content-type'])).toEqual([
      'application/json',
      'application/json',
      'text/plain',
      'application/json',
    ])
    expect(received[3]?.headers['content-encoding']).toBe('utf-8')
  })

  test('a foreign message without an id has none, and headers of all types are texts', async () => {
    const headers = {
      text: 'żółć',
      number: 7,
      large: 2 ** 40,
      fraction: 1.5,
      yes: true,
      nothing: null,
      list: [1, 'a'],
      table: { a: { b: 'c' } },
    }
    const [plain, rich] = await fromForeign(
      [{}, Buffer.from('x')],
      [{ messageId: 'm-1', correlationId: 'c-1', replyTo: 'r-1', headers }, Buffer.from('y')],
    )
    expect(plain).toMatchObject({
      id: undefined,
      key: undefined,
      attributes: {},
      headers: {},
      partition: undefined,
      offset: undefined,
      timeMs: undefined,
    })
    expect(rich?.id).toBe('m-1')
    expect(rich?.headers).toEqual({
      text: 'żółć',
      number: '7',
      large: '1099511627776',
      fraction: '1.5',
      yes: 'true',
      nothing: '',
      list: '[1,"a"]',
      table: '{"a":{"b":"c"}}',
      'correlation-id': 'c-1',
      'reply-to': 'r-1',
    })
  })

  test('CloudEvents of others are understood in both spellings, and their id is the message’s', async () => {
    const spelt = (prefix: string) => ({
      [`${prefix}specversion`]: '1.0',
      [`${prefix}id`]: 'e-1',
      [`${prefix}type`]: 'T',
      [`${prefix}source`]: '/s',
      other: 'o',
    })
    const received = await fromForeign(
      [{ headers: spelt('cloudEvents:') }, Buffer.from('x')],
      [{ headers: spelt('cloudEvents_') }, Buffer.from('y')],
    )
    for (const { id, attributes, headers } of received) {
      expect(id).toBe('e-1')
      expect(attributes).toEqual({ specversion: '1.0', id: 'e-1', type: 'T', source: '/s' })
      expect(headers).toEqual({ other: 'o' })
    }
  })

  test('others find ours as the binding for AMQP says: durable, with the content type and the id where AMQP has them', async () => {
    const { topic, connection } = await topicWithGroup()
    const attributes = { specversion: '1.0', id: 'e-2', type: 'order.placed', source: '/orders' }
    const headers = { 'content-type': 'application/json', 'x-tenant': 'acme', 'correlation-id': 'c', 'reply-to': 'r' }
    await connection.publish(topic, [outgoing({ id: 'e-2', key: 'order-1', attributes, headers, body: Buffer.from('{"a":1}') })])
    const found = await withClient(url, (client) => client.basicGet({ queue: `${topic}.g`, noAck: true }))
    expect(found).toMatchObject({
      routingKey: 'order.placed',
      durable: true,
      contentType: 'application/json',
      messageId: 'e-2',
      correlationId: 'c',
      replyTo: 'r',
      body: { a: 1 },
    } satisfies Partial<AsyncMessage>)
    // RabbitMQ adds how often it was delivered.
    expect(found?.headers).toMatchObject({
      'headwater-key': 'order-1',
      'x-tenant': 'acme',
      'cloudEvents:specversion': '1.0',
      'cloudEvents:id': 'e-2',
      'cloudEvents:type': 'order.placed',
      'cloudEvents:source': '/orders',
    })
  })

  test('what is too long for a property of AMQP travels all the same, whole', async () => {
    const { topic, connection } = await topicWithGroup()
    const long = 'ż'.repeat(128)
    const headers = { 'content-type': `application/json; profile=${long}`, 'correlation-id': long, 'message-id': 'mine' }
    await connection.publish(topic, [outgoing({ id: `id-${long}`, key: long, headers })])
    expect(await receive(connection, topic, 1)).toMatchObject([{ id: `id-${long}`, key: long, headers }])
  })

  test('what would break the channel is refused by itself, and says why', async () => {
    const { topic, connection } = await topicWithGroup()
    const many = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`header-${index}`, 'x'.repeat(1_000)]))
    const outcomes = await connection.publish(topic, [
      outgoing(),
      outgoing({ headers: { ['n'.repeat(256)]: 'x' } }),
      outgoing({ attributes: { ['n'.repeat(250)]: 'x' } }),
      outgoing({ headers: { CC: 'elsewhere' } }),
      outgoing({ attributes: { type: 't'.repeat(256) } }),
      outgoing({ headers: many }),
      outgoing(),
    ])
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, false, false, false, false, true])
    const errors = outcomes.map((outcome) => (outcome.ok ? undefined : outcome.error))
    expect(outcomes.every((outcome) => outcome.ok || outcome.refused)).toBe(true)
    for (const index of [1, 2, 3]) expect(errors[index]).toBeInstanceOf(UnsupportedByTransportError)
    for (const index of [4, 5]) expect(errors[index]).toBeInstanceOf(MessageTooLargeError)
    expect(errors[5]?.message).toContain('frame_max')
    await receive(connection, topic, 2)
    const labels = { transport: 'rabbitmq', topic }
    expect(metrics.value('headwater_transport_published_total', labels)).toBe(2)
    expect(metrics.value('headwater_transport_publish_failures_total', labels)).toBe(5)
    expect(metrics.durationOf('headwater_transport_publish_duration_ms', labels)?.count).toBe(1)
    expect(metrics.value('headwater_transport_received_total', { ...labels, group: 'g' })).toBe(2)
    expect(metrics.value('headwater_transport_held', { ...labels, group: 'g' })).toBe(0)
  })
})
