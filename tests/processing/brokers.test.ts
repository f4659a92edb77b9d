import { describe, expect, test } from 'vitest'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { defineService } from '../../src/service/service.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { Asked, connectTo, Done, eventOf, freshTopic, prepareTopic, publishAll } from './job-messages.ts'
import type { Place } from './killing.ts'
import { doneIn, expectEach, freshFile, jobsOf, openPlace, retryBlamed, strike, Workers } from './killing.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

function scenarios(place: () => TransportPlace | Promise<TransportPlace>): void {
  test(
    'consumers that are killed in a loop do each thing once, in order per key, though some messages come twice',
    { timeout: 120_000 },
    async () => {
      const broker = await place()
      const storePlace: Place = await freshFile()
      const store = await openPlace(storePlace)
      const connection = await connectTo(broker)
      const topic = await prepareTopic(connection, 'working.work')
      const jobs = jobsOf(1_200, 60)
      const messages = jobs.map((one) => encodeMessage(eventOf(one), topic))
      // Each tenth is sent again, soon after or much later.
      const repeated = messages.flatMap((message, n) => [
        message,
        ...(n >= 3 && n % 10 === 0 ? [messages[n - 3]!] : []),
        ...(n >= 300 && n % 10 === 5 ? [messages[n - 300]!] : []),
      ])
      await publishAll(connection, topic.name, repeated.slice(0, 900))
      const workers = new Workers(2, storePlace, broker, { kind: 'topic', where: topic.name })
      await strike(workers, 5, async () => (await store.log()).head)
      await publishAll(connection, topic.name, repeated.slice(900))
      await strike(workers, 2, async () => (await store.log()).head)
      await eventually(async () => {
        await retryBlamed(store)
        expectEach(await doneIn(store), jobs)
      }, 120_000)
      await eventually(async () => expect((await new DeadLetters(store).list()).documents).toEqual([]))
      expect(workers.ended).toBeGreaterThanOrEqual(7)
    },
  )

  test('a key among a thousand that fails holds nobody up, and waits in its order', { timeout: 120_000 }, async () => {
    const broker = await place()
    const connection = await connectTo(broker)
    const topic = await prepareTopic(connection, 'working.work')
    let isHealed = false
    const work = defineHandler(
      'work',
      { on: Asked, emits: Done, key: ({ data }) => data.key, retry: { attempts: 2, firstMs: 10, maxMs: 20 } },
      ({ data }, { emit }) => {
        if (data.key === 'k7' && !isHealed) throw new Error('poison')
        emit(Done(data))
      },
    )
    const app = await startForTest(defineService('working', { handlers: [work], subscribes: [topic] }), {
      storage: sqlite((await freshFile()).where),
      transport: openTransport(broker),
      leaseMs: 5_000,
    })
    const jobs = jobsOf(1_200, 1_000).map((one) => ({ ...one, fails: 0 }))
    await publishAll(
      connection,
      topic.name,
      jobs.map((one) => encodeMessage(eventOf(one), topic)),
    )
    const others = jobs.filter(({ key }) => key !== 'k7')
    await eventually(async () => expectEach(await doneIn(app.store), others))
    const held = await eventually(async () => {
      const { documents } = await app.deadLetters.list({ key: 'k7' })
      expect(documents.map(({ state }) => state)).toEqual(['parked', 'waiting'])
      return documents
    })
    expect((await app.deadLetters.list()).documents.length).toBe(2)
    isHealed = true
    await app.deadLetters.retry(held[0]!.id, { by: 'ada' })
    await eventually(async () => expectEach(await doneIn(app.store), jobs))
  })

  test('thousands of messages that are none stop nobody, and each is kept as it came', { timeout: 300_000 }, async () => {
    const broker = await place()
    const topic = freshTopic()
    const metrics = new InMemoryMetrics()
    const transport = openTransport(broker)
    const work = defineHandler('work', { on: Asked, emits: Done, key: ({ data }) => data.key }, ({ data }, { emit }) => emit(Done(data)))
    const app = await startForTest(defineService('working', { handlers: [work], subscribes: [topic] }), {
      storage: sqlite((await freshFile()).where),
      transport,
      metrics,
      leaseMs: 5_000,
    })
    const connection = await connectTo(broker)
    const jobs = jobsOf(300, 30).map((one) => ({ ...one, fails: 0 }))
    const good = jobs.map((one) => encodeMessage(eventOf(one), topic))
    const bad = Array.from({ length: 3_000 }, (_, n) => malformed(n, good[n % good.length]!))
    const unknown = Array.from({ length: 300 }, (_, n) => ({
      ...good[0]!,
      id: `u${n}`,
      attributes: { ...good[0]!.attributes, id: `u${n}`, type: 'NobodyKnows' },
    }))
    const all = good.flatMap((message, n) => [...bad.slice(n * 10, n * 10 + 10), message, unknown[n]!])
    await publishAll(connection, topic.name, all)
    await eventually(async () => expectEach(await doneIn(app.store), jobs), 120_000)
    const kept = new Map<string, number>()
    await eventually(async () => {
      kept.clear()
      let after: string | undefined
      do {
        const page = await app.deadLetters.list({ state: 'dead' }, { limit: 1_000, ...(after !== undefined && { after }) })
        for (const { origin } of page.documents) kept.set(origin!.raw!, (kept.get(origin!.raw!) ?? 0) + 1)
        after = page.next
      } while (after !== undefined)
      expect([...kept.values()].reduce((sum, count) => sum + count, 0)).toBe(bad.length)
    }, 120_000)
    for (const { body } of bad) expect(kept.has(Buffer.from(body).toString('base64'))).toBe(true)
    // The last of them stand behind the last good one; whatever is read once more after a rebalance is counted once more.
    await eventually(() => {
      expect(metrics.value('headwater_messages_unknown_total', { topic: topic.name, type: 'NobodyKnows' })).toBeGreaterThanOrEqual(300)
      expect(app.status().processors.every(({ state, lagEvents }) => state === 'live' && lagEvents === undefined)).toBe(true)
    })
  })
}

/** Messages of many kinds that nobody can use; each body is another one. */
function malformed(n: number, good: OutgoingMessage): OutgoingMessage {
  const { attributes, headers, key } = good
  const text = (body: string) => Buffer.from(body)
  const id = `bad-${n}`
  const kinds: readonly (() => OutgoingMessage)[] = [
    () => ({ ...good, id, attributes: { ...attributes, id }, body: text(`{"key": ${n}`) }),
    () => ({ ...good, id, attributes: { ...attributes, id }, body: text(`{"key": ${n}, "n": "none"}`) }),
    () => ({ id, key, headers: {}, attributes: {}, body: text(`not an event ${n}`) }),
    () => ({
      ...good,
      id,
      attributes: { ...attributes, id },
      headers: { ...headers, 'content-type': 'image/png' },
      body: text(`png ${n}`),
    }),
    () => ({ ...good, id, attributes: { ...attributes, id, time: 'yesterday' }, body: text(`{"n": ${n}}`) }),
    () => ({
      ...good,
      id,
      attributes: { ...attributes, id: `${'x'.repeat(3_000)}${n}` },
      body: text(`{"key": "a", "n": ${n}, "long": true}`),
    }),
    () => ({ ...good, id, attributes: { ...attributes, id, source: 's'.repeat(4_000) }, body: text(`{"key": "b", "n": ${n}}`) }),
    () => ({
      ...good,
      id,
      key: 'k'.repeat(200),
      attributes: { ...attributes, id, specversion: '7' },
      body: Buffer.from([0xff, 0xfe, n & 255, n >> 8]),
    }),
    () => ({ id, key, headers: { 'content-type': 'application/cloudevents+json' }, attributes: {}, body: text(`{"id": ${n}}`) }),
    () => ({
      ...good,
      id,
      attributes: { ...attributes, id, subject: `asked:\u00a0${'y'.repeat(600)}` },
      body: text(`{"key": "c", "n": ${n}}`),
    }),
  ]
  return kinds[n % kinds.length]!()
}

describe('faults over a log transport', () => scenarios(async () => ({ kind: 'log', where: (await freshFile()).where })))
describeOnBroker('Kafka', 'faults over Kafka', (where) => scenarios(() => ({ kind: 'kafka', where })))
describeOnBroker('RabbitMQ', 'faults over RabbitMQ', (where) => scenarios(() => ({ kind: 'rabbitmq', where })))
describeOnBroker('NATS JetStream', 'faults over NATS', (where) => scenarios(() => ({ kind: 'nats', where })))
describeOnBroker('ElasticMQ', 'faults over SQS', (where) => scenarios(() => ({ kind: 'sqs', where })))
