import { expect, onTestFinished, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import type { Job } from './killed-process.ts'
import { doneIn, expectEach, freshFile, jobsOf, openPlace, retryBlamed, strike, Workers } from './killing.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

const Asked = defineEvent('Asked', jsonSchema<Job>({ type: 'object' }))
const keyCount = 20

/** What brokers without order, or that lose it when a consumer dies, give out in any order is handled in that of its numbers. */
function keepsOrder(place: TransportPlace, count: number, blows: number): void {
  test('consumers that are killed in a loop do each thing once, in order per key', { timeout: 120_000 }, async () => {
    const storePlace = await freshFile()
    const store = await openPlace(storePlace)
    const topic = defineTopic(`killed-${process.pid}-${Date.now().toString(36)}`, { events: [Asked], sequenced: true })
    const connection = await openTransport(place).connect({ environment: environment({ log: silentLog }), clientName: 'killed' })
    onTestFinished(() => connection.close())
    await connection.ensureTopic(topic.spec)
    await connection.ensureGroup(topic.name, 'working.work', { at: 'end' })
    const jobs = jobsOf(count, keyCount)
    const messages = jobs.map((data) => {
      const id = `m${data.n}`
      const at = { stream: `asked:${data.key}`, version: Math.floor(data.n / keyCount) + 1, position: data.n + 1 }
      const event = { ...at, id, type: 'Asked', source: 'elsewhere', schemaVersion: 1, time: new Date(0), data }
      return encodeMessage({ ...event, correlationId: id, causationId: id, metadata: {}, tags: [] }, topic)
    })
    // Each seventh is late by some places of its key.
    const sent = messages.map((message, n) => ({ message, at: n % 7 === 2 ? n + 3 * keyCount + 0.5 : n }))
    const late = sent.toSorted((a, b) => a.at - b.at).map(({ message }) => message)
    const workers = new Workers(2, storePlace, place, { kind: 'topic', where: topic.name, sequenced: true })
    for (let next = 0; next < late.length; next += 100)
      for (const outcome of await connection.publish(topic.name, late.slice(next, next + 100))) if (!outcome.ok) throw outcome.error
    await strike(workers, blows, async () => (await store.log()).head)
    await eventually(async () => {
      await retryBlamed(store)
      expectEach(await doneIn(store), jobs)
    }, 120_000)
    await eventually(async () => expect((await new DeadLetters(store).list()).documents).toEqual([]))
    expect(workers.ended).toBeGreaterThanOrEqual(blows)
  })
}

describeOnBroker('RabbitMQ', 'a sequenced topic over RabbitMQ', (url) => keepsOrder({ kind: 'rabbitmq', where: url }, 1_200, 5))
describeOnBroker('ElasticMQ', 'a sequenced topic on a standard queue of SQS, with processes that die', (endpoint) =>
  keepsOrder({ kind: 'sqs-standard', where: endpoint }, 600, 2),
)
