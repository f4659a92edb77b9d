import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { InvalidDefinitionError } from '../../../src/message/errors.ts'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { TopicMismatchError, UnsupportedByTransportError } from '../../../src/transport/errors.ts'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { greet } from '../../../src/transport/rabbitmq/handshake.ts'
import { rabbitmq, type RabbitMqOptions, type RabbitMqTopicOptions } from '../../../src/transport/rabbitmq/index.ts'
import { settingsOf } from '../../../src/transport/rabbitmq/options.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { recorded, removeTopic, withClient } from './recorded.ts'

function message(type: string, given: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: randomUUID(), key: 'k', attributes: { type }, headers: {}, body: Buffer.from(type), ...given }
}

describeOnBroker('RabbitMQ', 'exchanges and queues of RabbitMQ', (url) => {
  async function connect(topicOptions?: RabbitMqTopicOptions, more: Partial<RabbitMqOptions> = {}) {
    const topic = `exchanges-${randomUUID()}`
    const transport = recorded(rabbitmq({ url, ...(topicOptions && { topics: { [topic]: topicOptions } }), ...more }))
    const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'exchanges' })
    onTestFinished(async () => {
      await connection.close()
      await removeTopic(url, topic)
    })
    return { topic, connection }
  }

  /** Since 4.0, of quorum queues that say nothing else. */
  async function hasDeliveryLimit(): Promise<boolean> {
    const { version } = await greet(settingsOf({ url }))
    return !version.startsWith('3.')
  }

  async function consume(connection: TransportConnection, topic: string, group: string): Promise<readonly string[]> {
    const received: string[] = []
    await connection.subscribe({
      topic,
      group,
      startAt: { at: 'end' },
      maxMessages: 100,
      maxBytes: 1_000_000,
      releaseTimeoutMs: 1_000,
      async run(partition) {
        for await (const batch of partition.read()) {
          received.push(...batch.map(({ attributes }: ReceivedMessage) => attributes['type'] ?? ''))
          await partition.acknowledge(batch)
        }
      },
    })
    return received
  }

  /** Publishes events of these types to a topic with two groups, and finds with each what it is to get, and nothing else. */
  async function expectRouted(
    options: RabbitMqTopicOptions,
    types: readonly string[],
    expected: readonly (readonly string[])[],
  ): Promise<void> {
    const { topic, connection } = await connect(options)
    await connection.ensureTopic({ name: topic })
    const groups = [await consume(connection, topic, 'one'), await consume(connection, topic, 'two')]
    await connection.publish(
      topic,
      types.map((type) => message(type)),
    )
    await eventually(() => expect(groups).toEqual(expected))
    for (const group of ['one', 'two']) await eventually(async () => expect((await connection.lag(topic, group))[0]?.messages).toBe(0))
    expect(groups).toEqual(expected)
  }

  describe('routing', () => {
    test('a topic exchange gives a group everything, or what fits one of its patterns', async () => {
      const bindings = { two: [{ routingKey: 'order.*' }, { routingKey: '#.paid' }] }
      const types = ['order.placed', 'stock.reserved', 'invoice.eu.paid']
      await expectRouted({ bindings }, types, [types, ['order.placed', 'invoice.eu.paid']])
    })

    test('a fanout exchange gives everybody everything', async () => {
      await expectRouted(
        { exchange: 'fanout' },
        ['a', 'b'],
        [
          ['a', 'b'],
          ['a', 'b'],
        ],
      )
    })

    test('a direct exchange gives a group what has one of its routing keys', async () => {
      const bindings = { one: [{ routingKey: 'A' }], two: [{ routingKey: 'A' }, { routingKey: 'B' }] }
      const routingKey = ({ attributes }: OutgoingMessage): string => (attributes['type'] ?? '').toUpperCase()
      await expectRouted({ exchange: 'direct', routingKey, bindings }, ['a', 'b', 'c'], [['a'], ['a', 'b']])
    })

    test('a headers exchange gives a group everything, or what has the headers that it names', async () => {
      const two = [{ headers: { 'cloudEvents:type': 'a', absent: 'x' }, match: 'any' as const }]
      await expectRouted({ exchange: 'headers', bindings: { two } }, ['a', 'b'], [['a', 'b'], ['a']])
    })

    test('a message that no queue takes is confirmed and gone, unless it is said to be mandatory', async () => {
      const lenient = await connect()
      await lenient.connection.ensureTopic({ name: lenient.topic })
      expect(await lenient.connection.publish(lenient.topic, [message('gone')])).toEqual([{ ok: true }])

      const strict = await connect({ mandatory: true, bindings: { g: [{ routingKey: 'wanted' }] } })
      await strict.connection.ensureTopic({ name: strict.topic })
      await strict.connection.ensureGroup(strict.topic, 'g', { at: 'end' })
      const types = ['wanted', 'unwanted', 'wanted', 'unwanted']
      const outcomes = await strict.connection.publish(
        strict.topic,
        types.map((type) => message(type)),
      )
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, false])
      expect(outcomes[1]).toMatchObject({ refused: false, error: { message: expect.stringContaining('no queue') as string } })
    })
  })

  describe('what cannot be had', () => {
    test('an exchange of another type is a mismatch, to who makes it and to who binds to it', async () => {
      const { topic, connection } = await connect()
      await connection.ensureTopic({ name: topic, settings: { type: 'fanout' } })
      await connection.ensureTopic({ name: topic, settings: { type: 'fanout' } })
      await expect(connection.ensureTopic({ name: topic })).rejects.toThrow(TopicMismatchError)
      await expect(connection.ensureTopic({ name: topic, settings: { type: 'direct' } })).rejects.toThrow(
        `${topic} has type = 'fanout', not 'direct'`,
      )
      await expect(connection.ensureGroup(topic, 'g', { at: 'end' })).rejects.toThrow(TopicMismatchError)
    })

    test('a direct exchange has no group without routing keys', async () => {
      const { topic, connection } = await connect({ exchange: 'direct' })
      await connection.ensureTopic({ name: topic })
      await expect(connection.ensureGroup(topic, 'g', { at: 'end' })).rejects.toThrow(InvalidDefinitionError)
    })

    test('neither retention by time, nor settings of other brokers, nor names that would be cut off', async () => {
      const { topic, connection } = await connect()
      await expect(connection.ensureTopic({ name: topic, retentionMs: 1_000 })).rejects.toThrow(UnsupportedByTransportError)
      await expect(connection.ensureTopic({ name: topic, settings: { 'cleanup.policy': 'compact' } })).rejects.toThrow('cleanup.policy')
      await expect(connection.ensureTopic({ name: 'ż'.repeat(128) })).rejects.toThrow(InvalidDefinitionError)
      await connection.ensureTopic({ name: topic })
      await expect(connection.ensureGroup(topic, 'g'.repeat(255), { at: 'end' })).rejects.toThrow(InvalidDefinitionError)
    })

    test('a group that is there has begun already, whatever is asked for', async () => {
      const { topic, connection } = await connect()
      await connection.ensureTopic({ name: topic })
      await expect(connection.ensureGroup(topic, 'g', { at: 'beginning' })).rejects.toThrow(UnsupportedByTransportError)
      await connection.ensureGroup(topic, 'g', { at: 'end' })
      await connection.ensureGroup(topic, 'g', { at: 'beginning' })
    })
  })

  describe('queues', () => {
    test('are durable quorum queues, with the arguments that were given', async () => {
      const { topic, connection } = await connect({ queueArguments: { 'x-max-length': 10 } })
      await connection.ensureTopic({ name: topic })
      await connection.ensureGroup(topic, 'g', { at: 'end' })
      const queue = `${topic}.g`
      const unlimited = (await hasDeliveryLimit()) ? { 'x-delivery-limit': -1 } : {}
      const declare = (durable: boolean, length: number) =>
        withClient(url, async (client) => {
          await client.queueDeclare({ queue, durable, arguments: { 'x-queue-type': 'quorum', 'x-max-length': length, ...unlimited } })
        })
      await declare(true, 10)
      await expect(declare(false, 10)).rejects.toThrow()
      await expect(declare(true, 11)).rejects.toThrow('PRECONDITION_FAILED')
    })

    test('one that somebody else made in another way is used as it is', async () => {
      const { topic, connection } = await connect()
      await connection.ensureTopic({ name: topic })
      await withClient(url, (client) => client.queueDeclare({ queue: `${topic}.g`, durable: true, arguments: { 'x-message-ttl': 60_000 } }))
      await connection.ensureGroup(topic, 'g', { at: 'end' })
      const received = await consume(connection, topic, 'g')
      await connection.publish(topic, [message('through')])
      await eventually(() => expect(received).toEqual(['through']))
    })

    test('one that would drop messages which came back too often is told of: one that was made before RabbitMQ 4 or by somebody else', async () => {
      const said: string[] = []
      const log = (_: string, text: string, fields?: object): void => void said.push(`${text} ${JSON.stringify(fields)}`)
      const { topic, connection } = await connect()
      await connection.ensureTopic({ name: topic })
      await connection.ensureGroup(topic, 'own', { at: 'end' })
      for (const [group, given] of Object.entries({ old: {}, limited: { 'x-delivery-limit': 5 } })) {
        const declared = { queue: `${topic}.${group}`, durable: true, arguments: { 'x-queue-type': 'quorum' as const, ...given } }
        await withClient(url, (client) => client.queueDeclare(declared))
      }
      const other = await rabbitmq({ url }).connect({ environment: environment({ log }), clientName: 'exchanges' })
      onTestFinished(() => other.close())
      for (const group of ['own', 'old', 'limited', 'old']) await other.ensureGroup(topic, group, { at: 'end' })
      const told = said.filter((text) => text.includes('came back 20 times'))
      expect(told).toEqual((await hasDeliveryLimit()) ? [expect.stringContaining(`${topic}.old`)] : [])
      for (const group of ['old', 'limited']) await withClient(url, (client) => client.queueDelete({ queue: `${topic}.${group}` }))
    })

    test('one that is full refuses: its messages wait for room, and fail when their time is over', async () => {
      const { topic, connection } = await connect(
        { queueArguments: { 'x-max-length': 1, 'x-overflow': 'reject-publish' } },
        { publishTimeoutMs: 2_000 },
      )
      await connection.ensureTopic({ name: topic })
      await connection.ensureGroup(topic, 'g', { at: 'end' })
      const publish = async (): Promise<boolean> => (await connection.publish(topic, [message('m')])).every(({ ok }) => ok)
      await eventually(async () => expect(await publish()).toBe(false))
      const [outcome] = await connection.publish(topic, [message('m')])
      expect(outcome).toMatchObject({ ok: false, refused: false })
      const waiting = connection.publish(topic, [message('last')])
      const received = await consume(connection, topic, 'g')
      expect(await waiting).toEqual([{ ok: true }])
      await eventually(() => expect(received.at(-1)).toBe('last'))
    })

    test('one that is deleted under its consumer is made again, and said to have been lost', async () => {
      const warnings: string[] = []
      const log = (_: string, text: string): void => void warnings.push(text)
      const { topic, connection } = await connect()
      await connection.ensureTopic({ name: topic })
      const own = await rabbitmq({ url }).connect({ environment: environment({ log }), clientName: 'exchanges' })
      onTestFinished(() => own.close())
      const received = await consume(own, topic, 'g')
      await connection.publish(topic, [message('before')])
      await eventually(() => expect(received).toEqual(['before']))
      await withClient(url, (client) => client.queueDelete({ queue: `${topic}.g` }))
      await eventually(() => expect(warnings.some((text) => text.includes('made again'))).toBe(true))
      await connection.publish(topic, [message('after')])
      await eventually(() => expect(received).toEqual(['before', 'after']))
      await own.close()
      await withClient(url, (client) => client.queueDelete({ queue: `${topic}.g` }))
    })
  })
})
