import { GetQueueAttributesCommand, ListQueuesCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs'
import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { MessageTooLargeError, TopicMismatchError, UnsupportedByTransportError } from '../../../src/transport/errors.ts'
import type { OutgoingMessage, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import type { SqsOptions } from '../../../src/transport/sqs/index.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { near, rawClient } from './support.ts'

const limit = 1_048_576

// fauxqs has Amazon's limits, and names its errors in another way than ElasticMQ. Its FIFO queues give out one message of a group in each batch, which is allowed.
describeOnBroker('fauxqs', 'the limits of SQS', (endpoint) => {
  async function connect(options: SqsOptions = {}): Promise<{ connection: TransportConnection; topic: string; group: string }> {
    const transport = sqs(near(endpoint, options))
    const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'limits' })
    onTestFinished(() => connection.close())
    return { connection, topic: `limits-${randomUUID()}`, group: 'group' }
  }

  async function receive(connection: TransportConnection, topic: string, count: number): Promise<readonly ReceivedMessage[]> {
    const received: ReceivedMessage[] = []
    const options = {
      topic,
      group: 'group',
      startAt: { at: 'end' },
      maxMessages: 100,
      maxBytes: 100 * limit,
      releaseTimeoutMs: 1_000,
    } as const
    await connection.subscribe({
      ...options,
      async run(partition) {
        for await (const batch of partition.read()) {
          received.push(...batch)
          await partition.acknowledge(batch)
        }
      },
    })
    await eventually(() => expect(received.length).toBe(count))
    return received
  }

  test('the largest message is taken, one byte more is refused before it is sent, and requests do not grow above the limit', async () => {
    const { connection, topic, group } = await connect()
    await connection.ensureTopic({ name: topic })
    await connection.ensureGroup(topic, group, { at: 'end' })
    const frame = (id: string): number => Buffer.byteLength(`headwaterString{"id":"${id}"}`)
    const sized = (id: string, bytes: number): OutgoingMessage => ({ ...message(id), body: Buffer.alloc(bytes - frame(id), 'x') })
    const sent = [sized('largest', limit), sized('larger', limit + 1), ...['a', 'b', 'c', 'd'].map((id) => sized(id, 400_000))]
    const outcomes = await connection.publish(topic, sent)
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, true, true, true])
    expect(outcomes[1]).toMatchObject({ refused: true })
    expect(!outcomes[1]!.ok && outcomes[1]!.error).toBeInstanceOf(MessageTooLargeError)
    const received = await receive(connection, topic, 5)
    expect(received.map(({ id, body }) => `${id} ${body.byteLength}`).toSorted()).toEqual(
      sent
        .filter(({ id }) => id !== 'larger')
        .map(({ id, body }) => `${id} ${body.byteLength}`)
        .toSorted(),
    )
  })

  test('a queue with a smaller limit refuses by itself', async () => {
    const { connection, topic, group } = await connect()
    await connection.ensureTopic({ name: topic, settings: { MaximumMessageSize: '2048' } })
    await connection.ensureGroup(topic, group, { at: 'end' })
    const [small, large, next] = await connection.publish(topic, [
      message('small', 'k'),
      { ...message('large', 'k'), body: Buffer.alloc(3_000, 'x') },
      message('next', 'k'),
    ])
    expect([small, next]).toEqual([{ ok: true }, { ok: true }])
    expect(large).toMatchObject({ ok: false, refused: true })
    expect(!large!.ok && large!.error).toBeInstanceOf(UnsupportedByTransportError)
  })

  test('what a topic is made with, its groups’ queues have, and other settings are a mismatch', async () => {
    const { connection, topic, group } = await connect()
    const deadLetters = 'arn:aws:sqs:us-east-1:000000000000:dead.fifo'
    const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: deadLetters, maxReceiveCount: 5 })
    const spec = {
      name: topic,
      retentionMs: 3_600_000,
      settings: { DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId', RedrivePolicy },
    }
    await connection.ensureTopic(spec)
    await connection.ensureTopic(spec)
    await connection.ensureTopic({ name: topic })
    // Another process, which knows nothing of how the topic was made.
    await (await connect()).connection.ensureGroup(topic, group, { at: 'end' })
    const attributes = await attributesOf(`${topic}--${group}.fifo`)
    expect(attributes).toMatchObject({
      MessageRetentionPeriod: '3600',
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
    })
    expect(JSON.parse(attributes['RedrivePolicy']!)).toEqual({ deadLetterTargetArn: deadLetters, maxReceiveCount: 5 })

    await expect(connection.ensureTopic({ name: topic, retentionMs: 60_000 })).rejects.toThrow(TopicMismatchError)
    await expect(connection.ensureTopic({ name: topic, settings: { KmsMasterKeyId: 'other' } })).rejects.toThrow(TopicMismatchError)
  })

  test('names that SQS would not take are taken, however long', async () => {
    const { connection } = await connect({ queuePrefix: 'prefix-' })
    const topic = `${randomUUID()}/żółć and more, `.repeat(4)
    const groups = ['a', 'b'].map((end) => 'the same beginning, which is longer than a name may be, '.repeat(3) + end)
    await connection.ensureTopic({ name: topic })
    for (const group of groups) await connection.ensureGroup(topic, group, { at: 'end' })
    expect(await connection.publish(topic, [message('one')])).toEqual([{ ok: true }])
    for (const group of groups) expect(await connection.lag(topic, group)).toEqual([{ partition: undefined, messages: 1 }])
  })

  test.each([{ fifo: true }, { fifo: false }])('a raw client reads what is sent, and the reverse: %o', async ({ fifo }) => {
    const { connection, topic, group } = await connect({ fifo })
    await connection.ensureTopic({ name: topic })
    await connection.ensureGroup(topic, group, { at: 'end' })
    const client = rawClient(endpoint)
    onTestFinished(() => client.destroy())
    const QueueUrl = `${endpoint}/000000000000/${topic}--${group}${fifo ? '.fifo' : ''}`

    await connection.publish(topic, [{ ...message('id-1', 'key-1'), headers: { 'content-type': 'application/json', tenant: 'acme' } }])
    const { Messages = [] } = await client.send(
      new ReceiveMessageCommand({ QueueUrl, MessageAttributeNames: ['All'], MessageSystemAttributeNames: ['All'], VisibilityTimeout: 0 }),
    )
    expect(Messages).toMatchObject([
      { Body: 'id-1', MessageAttributes: { 'content-type': { StringValue: 'application/json' }, tenant: { StringValue: 'acme' } } },
    ])
    if (fifo) expect(Messages[0]!.Attributes).toMatchObject({ MessageGroupId: 'key-1', MessageDeduplicationId: 'id-1' })

    const ids = fifo ? { MessageGroupId: 'key-2', MessageDeduplicationId: 'id-2' } : {}
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: '{"plain":true}', ...ids }))
    const received = await receive(connection, topic, 2)
    const foreign = received.find(({ body }) => Buffer.from(body).toString() === '{"plain":true}')
    expect(foreign).toMatchObject({ headers: {}, attributes: {}, key: fifo ? 'key-2' : undefined })
    expect(foreign!.id).toEqual(fifo ? 'id-2' : expect.any(String))
  })

  test('a standard queue and a FIFO queue of the same topic are apart', async () => {
    const { connection: fifo, topic, group } = await connect()
    const { connection: standard } = await connect({ fifo: false })
    for (const connection of [fifo, standard]) {
      await connection.ensureTopic({ name: topic })
      await connection.ensureGroup(topic, group, { at: 'end' })
    }
    await standard.publish(topic, [message('one')])
    expect(await fifo.lag(topic, group)).toEqual([{ partition: undefined, messages: 0 }])
    expect(await standard.lag(topic, group)).toEqual([{ partition: undefined, messages: 1 }])
  })

  async function attributesOf(queue: string): Promise<Readonly<Record<string, string>>> {
    const client = rawClient(endpoint)
    onTestFinished(() => client.destroy())
    const { QueueUrls = [] } = await client.send(new ListQueuesCommand({ QueueNamePrefix: queue }))
    const { Attributes = {} } = await client.send(new GetQueueAttributesCommand({ QueueUrl: QueueUrls[0]!, AttributeNames: ['All'] }))
    return Attributes
  }
})

function message(id: string, key?: string): OutgoingMessage {
  return { id, key, attributes: {}, headers: {}, body: Buffer.from(id) }
}
