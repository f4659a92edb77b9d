import { describe, expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { UnknownTopicError } from '../../../src/transport/errors.ts'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { delayedName } from '../../../src/transport/rabbitmq/delayed-name.ts'
import { rabbitmq, type RabbitMqTopicOptions } from '../../../src/transport/rabbitmq/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { collect } from '../collect.ts'
import { recorded, removeTopic, withClient } from './recorded.ts'

describe('the queue of a delay', () => {
  test.each([
    [1, 1],
    [99, 99],
    [100, 100],
    [101, 110],
    [1_000, 1_000],
    [1_234, 1_300],
    [1_500, 1_500],
    [60_000, 60_000],
    [61_001, 62_000],
    [0.5, 1],
    [86_400_000, 87_000_000],
  ])('of %d ms lasts %d ms: never less', (delayMs, actualMs) => {
    expect(delayedName('t', delayMs)).toBe(`t@delayed-${actualMs}ms`)
  })

  test('is one of few, whatever the delays are', () => {
    const names = new Set(Array.from({ length: 100_000 }, (_, ms) => delayedName('t', ms + 1)))
    expect(names.size).toBeLessThanOrEqual(99 + 3 * 90 + 1)
  })
})

describeOnBroker('RabbitMQ', 'messages of RabbitMQ that are to come later', (url) => {
  let topics = 0

  async function connect(
    options: RabbitMqTopicOptions = {},
  ): Promise<{ readonly connection: TransportConnection; readonly topic: string }> {
    const topic = `delays-${process.pid}-${Date.now().toString(36)}-${++topics}`
    const transport = recorded(rabbitmq({ url, topics: { [topic]: options } }))
    const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'delays' })
    onTestFinished(async () => {
      await connection.close()
      await removeTopic(url, topic)
    })
    await connection.ensureTopic({ name: topic })
    return { connection, topic }
  }

  const consume = (connection: TransportConnection, topic: string) => collect(connection, { topic, group: 'g' })

  const message = (type: string, given: Partial<OutgoingMessage> = {}): OutgoingMessage => {
    return { id: crypto.randomUUID(), key: undefined, attributes: { type }, headers: {}, body: Buffer.from(type), ...given }
  }
  const typesOf = (messages: readonly ReceivedMessage[]): readonly (string | undefined)[] =>
    messages.map(({ attributes }) => attributes['type'])

  test('are routed as they would have been at once', async () => {
    const { connection, topic } = await connect({ bindings: { g: [{ routingKey: 'order.*' }] } })
    const received = await consume(connection, topic)
    const types = ['order.placed', 'stock.reserved', 'order.paid']
    const outcomes = await connection.publish(
      topic,
      types.map((type) => message(type, { delayMs: 300 })),
    )
    expect(outcomes).toEqual(types.map(() => ({ ok: true })))
    await eventually(() => expect(new Set(typesOf(received))).toEqual(new Set(['order.paid', 'order.placed'])))
  })

  test('are not held up by those that no group wants', async () => {
    const { connection, topic } = await connect({ bindings: { g: [{ routingKey: 'wanted' }] } })
    const received = await consume(connection, topic)
    const unwanted = Array.from({ length: 100 }, () => message('unwanted', { delayMs: 200 }))
    await connection.publish(topic, [...unwanted, message('wanted', { delayMs: 200 })])
    await eventually(() => expect(typesOf(received)).toEqual(['wanted']))
  })

  test('wait in a queue that is made again when somebody has removed it', async () => {
    const { connection, topic } = await connect()
    const received = await consume(connection, topic)
    expect(await connection.publish(topic, [message('one', { delayMs: 200 })])).toEqual([{ ok: true }])
    await eventually(() => expect(typesOf(received)).toEqual(['one']))
    await withClient(url, (client) => client.queueDelete({ queue: delayedName(topic, 200) }))
    const outcomes = await connection.publish(topic, [message('two', { delayMs: 200 }), message('at once')])
    expect(outcomes).toMatchObject([{ ok: false, refused: false }, { ok: true }])
    expect(await connection.publish(topic, [message('three', { delayMs: 200 })])).toEqual([{ ok: true }])
    // What was on its way meanwhile is sent again.
    await eventually(() => expect(new Set(typesOf(received))).toEqual(new Set(['one', 'at once', 'three'])))
  })

  test('cannot be published to a topic that is not there', async () => {
    const { connection, topic } = await connect()
    const [outcome] = await connection.publish(`${topic}-unknown`, [message('lost', { delayMs: 200 })])
    expect(outcome).toMatchObject({ ok: false, refused: false })
    expect(outcome && !outcome.ok && outcome.error).toBeInstanceOf(UnknownTopicError)
  })

  test('say nothing of the queue in which they waited, unlike those that came from queues of others', async () => {
    const { connection, topic } = await connect()
    const received = await consume(connection, topic)
    await withClient(url, async (client) => {
      const queue = `${topic}-foreign`
      await client.queueDeclare({ queue, arguments: { 'x-message-ttl': 0, 'x-expires': 5_000, 'x-dead-letter-exchange': topic } })
      const publisher = client.createPublisher({ confirm: true })
      await publisher.send({ routingKey: queue, messageId: 'foreign' }, Buffer.from('x'))
      await publisher.close()
    })
    await connection.publish(topic, [message('own', { delayMs: 200 })])
    await eventually(() => expect(received.length).toBe(2))
    const headersOf = (id: string | undefined): readonly string[] =>
      received.filter((one) => (id === undefined ? one.id !== 'foreign' : one.id === id)).flatMap(({ headers }) => Object.keys(headers))
    expect(headersOf('foreign')).toContain('x-death')
    expect(headersOf(undefined)).toEqual([])
  })
})
