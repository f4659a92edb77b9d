import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { CloudEvent, Kafka as KafkaBinding } from 'cloudevents'
import { Kafka, logLevel, Partitioners } from 'kafkajs'
import type { IHeaders, KafkaMessage } from 'kafkajs'
import { onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import type { Log } from '../../../src/observability/log.ts'
import type { KafkaOptions } from '../../../src/transport/kafka/index.ts'
import { kafka } from '../../../src/transport/kafka/index.ts'
import type { OutgoingMessage, Partition, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { connectTo, newTopic, subscriptionTo, textOf } from './clients.ts'
import { readByJava, writeByJava } from './java-client.ts'
import { Ledger } from './ledger.ts'

const keys = [
  'order-1',
  'order-2',
  'a',
  'ab',
  'abc',
  'abcd',
  'żółć 🦊',
  '',
  'x'.repeat(1_000),
  ...Array.from({ length: 50 }, (_, i) => `k${i}`),
]

describeOnBroker('Kafka', 'Kafka and others', (brokers) => {
  const kafkajs = new Kafka({ brokers: brokers.split(','), clientId: 'kafkajs', logLevel: logLevel.NOTHING })

  async function readByKafkajs(topic: string, count: number): Promise<readonly (KafkaMessage & { partition: number })[]> {
    const consumer = kafkajs.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100 })
    await consumer.connect()
    onTestFinished(() => consumer.disconnect())
    await consumer.subscribe({ topic, fromBeginning: true })
    const seen: (KafkaMessage & { partition: number })[] = []
    await consumer.run({ eachMessage: async ({ message, partition }) => void seen.push({ ...message, partition }) })
    await eventually(() => assert.equal(seen.length, count))
    return seen
  }

  async function sendByKafkajs(
    topic: string,
    messages: { key?: string | null; value: Buffer | string | null; headers?: IHeaders }[],
  ): Promise<void> {
    const producer = kafkajs.producer({ createPartitioner: Partitioners.DefaultPartitioner, idempotent: true, maxInFlightRequests: 1 })
    await producer.connect()
    await producer.send({ topic, messages })
    await producer.disconnect()
  }

  async function read(
    connection: TransportConnection,
    topic: string,
    count: number,
    maxBytes = 1_000_000,
  ): Promise<readonly ReceivedMessage[]> {
    const received: ReceivedMessage[] = []
    const run = async (partition: Parameters<Ledger['consume']>[0]): Promise<void> => {
      for await (const batch of partition.read()) received.push(...batch)
    }
    await connection.subscribe(subscriptionTo(topic, randomUUID(), run, { maxBytes }))
    await eventually(() => assert.equal(received.length, count))
    assert.equal(new Set(received.map(({ partition, offset }) => `${partition} ${offset}`)).size, count, 'each once')
    return received
  }

  const event = (key: string): OutgoingMessage => {
    const id = randomUUID()
    return {
      id,
      key,
      attributes: { specversion: '1.0', id, source: '/orders', type: 'order.placed', time: '2026-11-21T14:00:00.123Z' },
      headers: { 'content-type': 'application/json', 'x-tenant': 'żółć' },
      body: Buffer.from(JSON.stringify({ key })),
    }
  }

  const compressible = Array.from({ length: 500 }, (_, number) => ({
    ...event(`k${number % 10}`),
    body: Buffer.from(`k${number % 10} ${number} `.padEnd(300, 'x')),
  }))

  test('kafkajs and cloudevents read what is published, and agree on the partition of each key', async () => {
    const connection = await connectTo(brokers)
    const [ours, others] = [await newTopic(connection, 7), await newTopic(connection, 7)]
    await connection.publish(ours, keys.map(event))
    await sendByKafkajs(
      others,
      keys.map((key) => ({ key, value: 'theirs' })),
    )
    const partitions = new Map((await read(connection, others, keys.length)).map(({ key, partition }) => [key, partition]))
    for (const message of await readByKafkajs(ours, keys.length)) {
      const key = String(message.key)
      assert.equal(message.partition, partitions.get(key), `partition of ${key}`)
      const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]))
      assert.equal(headers['x-tenant'], 'żółć')
      const wire = { headers, key, value: String(message.value), body: String(message.value) }
      const theirs = KafkaBinding.toEvent(wire)
      assert.ok(theirs instanceof CloudEvent)
      assert.deepEqual([theirs.type, theirs.source, theirs.data], ['order.placed', '/orders', { key }])
    }
  })

  test('what kafkajs and cloudevents write is read, on the partition where Headwater would have written it', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 7)
    const events = keys.map((key) => new CloudEvent({ source: '/theirs', type: 'order.paid', data: { key }, subject: 'żółć' }))
    await sendByKafkajs(
      topic,
      events.map((one, index) => {
        const { headers, value } = KafkaBinding.binary(one)
        const given = Object.entries(headers).filter(([, text]) => text !== undefined)
        return { key: keys[index]!, value: JSON.stringify(value), headers: Object.fromEntries(given) }
      }),
    )
    const theirs = await read(connection, topic, keys.length)
    const other = await newTopic(connection, 7)
    await connection.publish(other, keys.map(event))
    const partitions = new Map((await read(connection, other, keys.length)).map(({ key, partition }) => [key, partition]))
    for (const message of theirs) {
      const sent = events[keys.indexOf(message.key ?? '?')]!
      assert.equal(message.id, sent.id)
      assert.deepEqual([message.attributes['type'], message.attributes['subject']], ['order.paid', 'żółć'])
      assert.deepEqual(JSON.parse(textOf(message)), sent.data)
      assert.equal(message.partition, partitions.get(message.key), `partition of ${message.key}`)
    }
  })

  test('messages of whoever knows nothing of CloudEvents are read: without key, headers or value, with odd headers', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 1)
    await sendByKafkajs(topic, [
      { value: '{"plain":true}' },
      { key: 'deleted', value: null },
      { key: null, value: Buffer.from([0xff, 0xfe]), headers: { __proto__: 'x', 'content-type': 'text/plain', twice: ['1', '2'] } },
    ])
    const [plain, deleted, binary] = await read(connection, topic, 3)
    assert.deepEqual([plain?.id, plain?.key, plain?.attributes, plain?.headers], [undefined, undefined, {}, {}])
    assert.deepEqual([deleted?.key, deleted?.body.byteLength], ['deleted', 0])
    assert.deepEqual([...(binary?.body ?? [])], [0xff, 0xfe])
    assert.equal(binary?.headers['content-type'], 'text/plain')
    assert.ok((plain?.timeMs ?? 0) > Date.now() - 60_000)
  })

  test('a transaction that somebody else aborted is not seen, nor counted as a hole', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 1)
    const producer = kafkajs.producer({ idempotent: true, transactionalId: randomUUID(), maxInFlightRequests: 1 })
    await producer.connect()
    onTestFinished(() => producer.disconnect())
    for (const round of ['a', 'b', 'c', 'd']) {
      const transaction = await producer.transaction()
      for (const value of [`${round}1`, `${round}2`]) await transaction.send({ topic, messages: [{ key: 'k', value }] })
      await (round === 'b' || round === 'd' ? transaction.abort() : transaction.commit())
    }
    await connection.publish(topic, [event('last')])
    const received = await read(connection, topic, 5)
    assert.deepEqual(received.map(textOf).slice(0, 4), ['a1', 'a2', 'c1', 'c2'])

    // What was aborted last is nothing that is still to be done.
    const ledger = new Ledger()
    await ledger.follow(connection, topic)
    await eventually(() => assert.equal(ledger.count, 5))
    const last = await producer.transaction()
    for (const value of ['e1', 'e2']) await last.send({ topic, messages: [{ key: 'k', value }] })
    await last.abort()
    await eventually(async () => assert.deepEqual(await connection.lag(topic, topic), [{ partition: 0, messages: 0 }]))

    // From behind the messages of the second one: only its end is in the answer, and what its producer wrote after that was committed.
    const again: ReceivedMessage[] = []
    const run = async (partition: Partition): Promise<void> => {
      for await (const batch of partition.read(4)) again.push(...batch)
    }
    await connection.subscribe(subscriptionTo(topic, randomUUID(), run))
    await eventually(() => assert.deepEqual(again.map(textOf).slice(0, 2), ['c1', 'c2']))

    // Larger than what is fetched at once, so that its end comes with a later answer than its messages.
    const large = await producer.transaction()
    for (let count = 0; count < 20; count++) await large.send({ topic, messages: [{ key: 'k', value: Buffer.alloc(20_000) }] })
    await large.abort()
    await connection.publish(topic, [event('after')])
    assert.equal((await read(connection, topic, 6, 30_000)).at(-1)?.key, 'after')
  })

  test('a group in which others share out partitions in another way is joined when they are gone', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 2)
    const consumer = kafkajs.consumer({ groupId: topic, maxWaitTimeInMs: 100 })
    const { promise: joined, resolve } = Promise.withResolvers<void>()
    consumer.on('consumer.group_join', () => resolve())
    await consumer.connect()
    await consumer.subscribe({ topic })
    await consumer.run({ eachMessage: async () => {} })
    await joined

    const said: string[] = []
    const log: Log = (level, message) => void said.push(`${level}: ${message}`)
    const ours = await kafka({ brokers, heartbeatMs: 200 }).connect({ environment: environment({ log }), clientName: 'ours' })
    onTestFinished(() => ours.close())
    const ledger = new Ledger()
    await ledger.publishAll(ours, topic, [{ ...event('k'), body: Buffer.from('k 0') }])
    await ledger.follow(ours, topic)
    await eventually(() => assert.ok(said.includes('warn: joining the group failed and is tried again'), said.join()))
    assert.equal(ledger.count, 0)
    await consumer.disconnect()
    await eventually(() => ledger.assertComplete())
  })

  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const satisfies KafkaOptions['compression'][]

  for (const compression of codecs)
    test(`compression ${compression}`, async () => {
      const connection = await connectTo(brokers, { compression })
      const topic = await newTopic(connection, 2)
      const ledger = new Ledger()
      await ledger.publishAll(connection, topic, compressible)
      await ledger.follow(connection, topic)
      await eventually(() => ledger.assertComplete())
      ledger.assertOrder()
    })

  test("Kafka's own client reads what is compressed in each way, and the reverse", async () => {
    const ours = new Map<string, string>()
    const theirs = new Map<string, string>()
    for (const compression of codecs) {
      const connection = await connectTo(brokers, { compression })
      ours.set(compression, await newTopic(connection, 1))
      theirs.set(compression, await newTopic(connection, 1))
      await new Ledger().publishAll(connection, ours.get(compression)!, compressible)
    }
    const [byJava] = await Promise.all([readByJava(brokers, [...ours.values()]), writeByJava(brokers, 500, theirs)])
    const connection = await connectTo(brokers)
    for (const compression of codecs) {
      const values = byJava.filter(({ topic }) => topic === ours.get(compression)).map(({ value }) => value)
      assert.deepEqual(values, compressible.map(textOf), compression)
      const received = await read(connection, theirs.get(compression)!, 500)
      assert.deepEqual(
        received.map((message) => [message.key, textOf(message)]),
        received.map((_, number) => [String(number % 10), String(number)]),
        compression,
      )
    }
  }, 120_000)
})
