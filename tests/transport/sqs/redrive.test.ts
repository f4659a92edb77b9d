import { GetQueueAttributesCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs'
import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { TopicMismatchError, UnknownTopicError } from '../../../src/transport/errors.ts'
import type { OutgoingMessage, TransportConnection } from '../../../src/transport/port.ts'
import type { SqsDeadLetters, SqsOptions } from '../../../src/transport/sqs/index.ts'
import { sqs, sqsDeadLetters } from '../../../src/transport/sqs/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { near, rawClient } from './support.ts'

const group = 'payments.charge'
const redrive = { maxReceiveCount: 10 }

for (const broker of ['ElasticMQ', 'fauxqs'] as const)
  describeOnBroker(broker, `what SQS puts aside, on ${broker}`, (endpoint) => {
    describe.each([{ fifo: true }, { fifo: false }])('%o', ({ fifo }) => {
      test('is what was given out too often; it is counted, told, and sent nothing else', async () => {
        const { connection, topic } = await connect(endpoint, { fifo, redrive })
        await connection.ensureGroup(topic, group, { at: 'end' })
        await connection.ensureGroup(topic, group, { at: 'end' })
        await using dead = await sqsDeadLetters(near(endpoint, { fifo, redrive }))
        expect(await dead.count(topic, group)).toBe(0)
        await connection.publish(topic, [message('poison')])
        const given = await giveBackAlways(connection, topic)
        await eventually(async () => expect(await dead.count(topic, group)).toBe(1))
        expect(given.length).toBe(redrive.maxReceiveCount)
        expect(await connection.lag(topic, group)).toEqual([{ partition: undefined, messages: 0 }])

        const other = await connect(endpoint, { fifo, redrive }, topic)
        await consume(other.connection, topic)
        const labels = { transport: 'sqs', topic, group }
        await eventually(() => expect(other.metrics.value('headwater_transport_dead_letters', labels)).toBe(1))
        await eventually(() => expect(other.said).toContain('SQS has put messages aside that were given out too often'))
        // A publisher that knows nothing of it finds the queue among those of the topic.
        const publisher = await connect(endpoint, { fifo }, topic)
        expect(await publisher.connection.publish(topic, [message('next')])).toEqual([{ ok: true }])
        expect(await dead.count(topic, group)).toBe(1)
      })

      test('is put aside for a group that was there before, unless it has another policy', async () => {
        const before = await connect(endpoint, { fifo })
        const { topic } = before
        await before.connection.ensureGroup(topic, group, { at: 'end' })
        const { connection } = await connect(endpoint, { fifo, redrive }, topic)
        await connection.ensureGroup(topic, group, { at: 'end' })
        const client = rawClient(endpoint)
        onTestFinished(() => client.destroy())
        const QueueUrl = `${endpoint}/000000000000/${topic}--payments_2echarge${fifo ? '.fifo' : ''}`
        const { Attributes } = await client.send(new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['All'] }))
        const policy = JSON.parse(Attributes!['RedrivePolicy']!) as { deadLetterTargetArn: string }
        expect(policy).toMatchObject({ maxReceiveCount: 10 })
        expect(policy.deadLetterTargetArn).toMatch(fifo ? /--payments_2echarge--dlq\.fifo$/ : /--payments_2echarge--dlq$/)
        const RedrivePolicy = JSON.stringify({ ...policy, maxReceiveCount: 70 })
        await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { RedrivePolicy } }))
        await expect(connection.ensureGroup(topic, group, { at: 'end' })).rejects.toThrow(TopicMismatchError)
        await expect(connection.ensureGroup(topic, group, { at: 'end' })).rejects.toThrow('RedrivePolicy of the group payments.charge')
        // Who does not ask for it does not mind.
        await before.connection.ensureGroup(topic, group, { at: 'end' })
      })
    })
  })

// fauxqs (2.4.1) knows no move tasks. ElasticMQ (1.7.1) needs a DestinationArn, which Amazon does not; says of a task of a FIFO queue that it is completed, without having moved
// anything; and forgets a task that was cancelled, which Amazon lists as such.
describeOnBroker('ElasticMQ', 'moving back what SQS has put aside', (endpoint) => {
  const options = { fifo: false, redrive } as const

  test('gives it to the group again', async () => {
    const { topic, dead, connection } = await putAside(endpoint, 3)
    const { received } = await consume(connection, topic)
    await dead.moveBack(topic, group)
    await eventually(() => expect(received.toSorted()).toEqual(['0', '1', '2']))
    await eventually(async () => {
      const [last] = await dead.moves(topic, group)
      expect(last).toMatchObject({ state: 'completed', moved: 3, failure: undefined })
      expect(Math.abs(Date.now() - last!.startedMs)).toBeLessThan(60_000)
    })
    expect(await dead.count(topic, group)).toBe(0)
    expect(await dead.cancelMove(topic, group)).toBe(false)
  })

  test('can be done slowly, one move at a time, and be stopped', async () => {
    const { topic, dead } = await putAside(endpoint, 15)
    await dead.moveBack(topic, group, { perSecond: 1 })
    await eventually(async () => expect(await dead.moves(topic, group)).toMatchObject([{ state: 'running' }]))
    await expect(dead.moveBack(topic, group)).rejects.toMatchObject({ code: 'transport-unavailable' })
    expect(await dead.cancelMove(topic, group)).toBe(true)
    await eventually(async () => expect((await dead.moves(topic, group)).filter(({ state }) => state === 'running')).toEqual([]))
    expect(await dead.count(topic, group)).toBeGreaterThan(3)
  })

  test('needs a queue to move from, and a rate that SQS takes', async () => {
    const { connection, topic } = await connect(endpoint, { fifo: false })
    await connection.ensureGroup(topic, group, { at: 'end' })
    await using dead = await sqsDeadLetters(near(endpoint, options))
    for (const ask of ['count', 'moveBack', 'moves', 'cancelMove'] as const)
      await expect(dead[ask](topic, group)).rejects.toThrow(UnknownTopicError)
    await expect(dead.moveBack(topic, group, { perSecond: 501 })).rejects.toThrow('perSecond')
  })

  async function putAside(
    address: string,
    count: number,
  ): Promise<{ readonly topic: string; readonly dead: SqsDeadLetters; readonly connection: TransportConnection }> {
    const { connection, topic } = await connect(address, options)
    await connection.ensureGroup(topic, group, { at: 'end' })
    await connection.publish(
      topic,
      Array.from({ length: count }, (_, number) => message(String(number))),
    )
    const subscribed = giveBackAlways(connection, topic)
    const dead = await sqsDeadLetters(near(address, options))
    onTestFinished(() => dead.close())
    const given = await subscribed
    await eventually(async () => expect(await dead.count(topic, group)).toBe(count))
    await given.stop()
    return { topic, dead, connection }
  }
})

test.each([9, 1_001, 20.5])('SQS cannot put messages aside after %d times', (maxReceiveCount) => {
  expect(() => sqs({ redrive: { maxReceiveCount } })).toThrow('redrive.maxReceiveCount must be a whole number from 10 to 1000')
})

async function connect(endpoint: string, options: Partial<SqsOptions>, topic = `redrive-${randomUUID()}`) {
  const metrics = new InMemoryMetrics()
  const said: string[] = []
  const connection = await sqs(near(endpoint, options)).connect({
    environment: environment({ log: (_level, text) => void said.push(text), metrics }),
    clientName: 'redrive',
  })
  onTestFinished(() => connection.close())
  await connection.ensureTopic({ name: topic })
  return { connection, metrics, said, topic }
}

/** Takes messages and never finishes them, as a process that dies does. */
async function giveBackAlways(connection: TransportConnection, topic: string): Promise<string[] & { stop(): Promise<void> }> {
  const given: string[] = []
  const subscription = await connection.subscribe({
    ...subscriptionTo(topic),
    async run(partition) {
      for await (const batch of partition.read()) {
        given.push(...batch.map(({ body }) => Buffer.from(body).toString()))
        await partition.release(batch)
      }
    },
  })
  return Object.assign(given, { stop: () => subscription.close() })
}

async function consume(connection: TransportConnection, topic: string): Promise<{ readonly received: string[] }> {
  const received: string[] = []
  await connection.subscribe({
    ...subscriptionTo(topic),
    async run(partition) {
      for await (const batch of partition.read()) {
        received.push(...batch.map(({ body }) => Buffer.from(body).toString()))
        await partition.acknowledge(batch)
      }
    },
  })
  return { received }
}

function subscriptionTo(topic: string) {
  return { topic, group, startAt: { at: 'end' }, maxMessages: 100, maxBytes: 1024 * 1024, releaseTimeoutMs: 500 } as const
}

function message(text: string): OutgoingMessage {
  return { id: randomUUID(), key: 'k', attributes: {}, headers: {}, body: Buffer.from(text) }
}
