import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { defineService } from '../../src/service/service.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { kafka } from '../../src/transport/kafka/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { rabbitmq } from '../../src/transport/rabbitmq/index.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { withClient } from '../transport/rabbitmq/recorded.ts'
import { freshFile } from './killing.ts'
import { Asked, askedEvent, Done } from './retry-world.ts'

/** A message as another program finds it. */
interface Seen {
  readonly topic: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** Reads topics as another program would, without anything of ours; resolves when it misses nothing from now on. */
type Watch = (topics: readonly string[]) => Promise<readonly Seen[]>

const delaysMs = [300, 600]

function retriesOver(transportOf: () => Promise<Transport>, watch?: Watch): void {
  test('what fails is tried again when it is due, others go on, and other programs find out why', { timeout: 120_000 }, async () => {
    const transport = await transportOf()
    const topic = defineTopic(`retried-${randomUUID().slice(0, 8)}`, { events: [Asked], partitions: 2 })
    const [tier1, tier2, dlq] = [`${topic.name}.s.work.retry-1`, `${topic.name}.s.work.retry-2`, `${topic.name}.dlq`]
    const calls: { readonly n: number; readonly attempt: number; readonly atMs: number }[] = []
    // 1 never succeeds, 2 does in the first retry topic, 4 must not be tried again.
    const work = defineHandler(
      'work',
      { on: Asked, emits: Done, whenExhausted: 'retry-topics', retryTopics: { delaysMs } },
      ({ data }, { attempt, emit }) => {
        calls.push({ n: data.n, attempt, atMs: Date.now() })
        emit(Done(data))
        if (data.n === 1 || (data.n === 2 && attempt === 1)) throw new TypeError('no such account: żółć 🦊\nthe second line')
        if (data.n === 4) throw new PermanentError('never')
      },
    )
    const storage = sqlite((await freshFile()).where)
    const app = await startForTest(defineService('s', { handlers: [work], subscribes: [topic] }), { storage, transport, leaseMs: 5_000 })
    const seen = await watch?.([tier1, tier2, dlq])
    const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'producer' })
    onTestFinished(() => connection.close())
    const messages = [1, 2, 3, 4].map((n) => {
      const message = encodeMessage(askedEvent({ key: 'a', n }), topic)
      return { ...message, headers: { ...message.headers, 'x-own': 'ü' } }
    })
    expect(await connection.publish(topic.name, messages)).toEqual(messages.map(() => ({ ok: true })))

    const letters = async () => (await app.deadLetters.list()).documents
    await eventually(async () => expect(await letters()).toHaveLength(2), 30_000)
    const attemptsOf = (n: number) => calls.filter((call) => call.n === n)
    const attempts = [1, 2, 3, 4].map((n) => attemptsOf(n).map(({ attempt }) => attempt))
    expect(attempts).toEqual([[1, 2, 3], [1, 2], [1], [1]])
    const [first, second, last] = attemptsOf(1).map(({ atMs }) => atMs)
    expect(second! - first!).toBeGreaterThanOrEqual(delaysMs[0]!)
    expect(last! - second!).toBeGreaterThanOrEqual(delaysMs[1]!)
    // Behind the one that waits, it would have come after the last attempt of that.
    expect(attemptsOf(3)[0]!.atMs).toBeLessThan(last!)
    const done: number[] = []
    for await (const event of app.store.readLog({ types: ['Done'] })) done.push((event.data as { n: number }).n)
    expect(done.toSorted((a, b) => a - b)).toEqual([2, 3])
    expect(
      new Map((await letters()).map((one) => [one.message!.id, { state: one.state, attempts: one.attempts, topic: one.origin!.topic }])),
    ).toEqual(
      new Map([
        ['m1', { state: 'dead', attempts: 3, topic: topic.name }],
        ['m4', { state: 'dead', attempts: 1, topic: topic.name }],
      ]),
    )
    await eventually(async () => expect((await app.lag()).filter(({ messages: left }) => left > 0)).toEqual([]))

    if (!seen) return
    await eventually(() => expect(seen.map((one) => one.topic).toSorted()).toEqual([dlq, dlq, tier1, tier1, tier2].toSorted()))
    for (const { headers } of seen) expect(headers).toMatchObject({ 'x-own': 'ü', ce_specversion: '1.0', ce_type: 'Asked' })
    const inTier = seen.find((one) => one.topic === tier1 && one.headers['ce_id'] === 'm1')!
    expect(JSON.parse(inTier.body)).toEqual({ key: 'a', n: 1 })
    expect(inTier.headers).toMatchObject({
      'retry_topic-attempts': '2',
      'retry_topic-backoff-timestamp': expect.stringMatching(/^\d{13}$/),
      'retry_topic-original-timestamp': expect.stringMatching(/^\d+$/),
      'kafka_original-topic': topic.name,
      'kafka_original-consumer-group': 's.work',
      'kafka_exception-fqcn': 'TypeError',
      'kafka_exception-message': expect.stringContaining('żółć 🦊\nthe second line'),
      'kafka_exception-stacktrace': expect.stringContaining('retry-brokers.test.ts'),
    })
    expect(seen.find((one) => one.topic === tier2)!.headers).toMatchObject({
      'retry_topic-attempts': '3',
      'kafka_original-topic': topic.name,
    })
    expect(seen.find((one) => one.topic === dlq && one.headers['ce_id'] === 'm1')!.headers).toMatchObject({
      'kafka_dlt-original-topic': topic.name,
      'kafka_dlt-original-consumer-group': 's.work',
      'kafka_dlt-exception-fqcn': 'TypeError',
      'kafka_dlt-exception-stacktrace': expect.stringContaining('retry-brokers.test.ts'),
    })
  })
}

describe('retry topics over a log transport', () => retriesOver(async () => log(sqlite((await freshFile()).where))))

describeOnBroker('Kafka', 'retry topics over Kafka', (brokers) =>
  retriesOver(
    async () => kafka({ brokers: brokers.split(',') }),
    async (topics) => {
      const client = new Kafka({ brokers: brokers.split(','), clientId: 'kafkajs', logLevel: logLevel.NOTHING })
      const consumer = client.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 })
      await consumer.connect()
      onTestFinished(() => consumer.disconnect())
      await consumer.subscribe({ topics: [...topics], fromBeginning: true })
      const seen: Seen[] = []
      await consumer.run({
        eachMessage: async ({ topic, message }) => {
          const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]))
          if (!topic.endsWith('.dlq'))
            expect(headers).toMatchObject({
              'kafka_original-partition': expect.stringMatching(/^[01]$/),
              'kafka_original-offset': expect.stringMatching(/^[0-3]$/),
            })
          seen.push({ topic, headers, body: String(message.value) })
        },
      })
      return seen
    },
  ),
)

describeOnBroker('RabbitMQ', 'retry topics over RabbitMQ', (url) =>
  retriesOver(
    async () => rabbitmq({ url }),
    async (topics) => {
      const seen: Seen[] = []
      const ended = Promise.withResolvers<void>()
      const ready = Promise.withResolvers<void>()
      const watching = withClient(url, async (client) => {
        const consumer = client.createConsumer(
          { queueOptions: { exclusive: true, autoDelete: true }, queueBindings: topics.map((exchange) => ({ exchange, routingKey: '#' })) },
          async ({ exchange, headers, body }) => {
            const texts = Object.entries(headers ?? {}).map(([name, value]) => [name.replace(/^cloudEvents[:_]/, 'ce_'), String(value)])
            seen.push({
              // What was put off comes by way of an exchange beside the topic.
              topic: exchange.replace(/@due$/, ''),
              headers: Object.fromEntries(texts),
              body: Buffer.isBuffer(body) ? body.toString() : JSON.stringify(body),
            })
          },
        )
        consumer.on('ready', () => ready.resolve())
        await ended.promise
        await consumer.close()
      })
      onTestFinished(async () => {
        ended.resolve()
        await watching
      })
      await ready.promise
      return seen
    },
  ),
)

describeOnBroker('NATS JetStream', 'retry topics over NATS JetStream', (servers) => retriesOver(async () => nats({ servers })))
describeOnBroker('NATS JetStream 2.9', 'retry topics over NATS JetStream 2.9', (servers) => retriesOver(async () => nats({ servers })))
describeOnBroker('ElasticMQ', 'retry topics over Amazon SQS', (endpoint) =>
  retriesOver(async () =>
    sqs({ endpoint, region: 'elasticmq', waitTimeSec: 1, queueCacheMs: 100, credentials: { accessKeyId: 'x', secretAccessKey: 'x' } }),
  ),
)
