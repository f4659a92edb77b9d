import { describe, expect, onTestFinished, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import { log } from '../../src/transport/log/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import type { FreshStorage } from '../support/stores.ts'
import { describeOnEveryStore, freshSqlite } from '../support/stores.ts'
import { near } from '../transport/sqs/support.ts'

interface Step {
  readonly order: string
  readonly n: number
}
const step = jsonSchema<Step>({ type: 'object', required: ['order', 'n'], properties: { n: { type: 'number' } } })
const Placed = defineEvent('Placed', step)
const Paid = defineEvent('Paid', step)
const Noted = defineEvent('Noted', step)
const Shipped = defineEvent('Shipped', step)
const Booked = defineEvent('Booked', step)
/** What happens to an order; nobody handles `Noted`, and the data of one is not what it should be. */
const kinds = [Placed, Noted, Paid, Noted, Noted, Paid, Shipped] as const
const brokenAt = 5
const handledAt = [0, 2, 6]

const orders = Array.from({ length: 20 }, (_, index) => `o${index}`)

let topics = 0

function recorded(order: string, n: number): RecordedEvent {
  const id = `${order}-${n}`
  const data = n === brokenAt ? { order, n: 'none' } : { order, n }
  const place = { stream: `order:${order}`, version: n + 1, position: 1, source: 'shop' }
  return {
    ...place,
    id,
    type: kinds[n]!.type,
    schemaVersion: 1,
    time: new Date(0),
    data,
    correlationId: id,
    causationId: id,
    metadata: {},
    tags: [],
  }
}

/** The same at each run: each moves by less than `window` places. */
function disordered<T>(items: readonly T[], window: number): readonly T[] {
  const placed = items.map((item, index) => ({ item, at: index + ((index * 7_919) % 101) * (window / 101) }))
  return placed.toSorted((a, b) => a.at - b.at).map(({ item }) => item)
}

function keepsOrder(freshTransport: () => Promise<Transport>, fresh: FreshStorage): void {
  test('each order is handled in its order, whatever order its messages come in, also over a restart', { timeout: 120_000 }, async () => {
    const transport = await freshTransport()
    const events = [Placed, Paid, Noted, Shipped]
    const topic = defineTopic(`sequenced-${process.pid}-${Date.now().toString(36)}-${++topics}`, { events, partitions: 1, sequenced: true })
    const book = defineHandler('book', { on: [Placed, Paid, Shipped], emits: Booked }, ({ data }, { emit }) => emit(Booked(data)))
    const books = defineService('books', { handlers: [book], subscribes: [topic] })
    const storage = await fresh()
    const metrics = new InMemoryMetrics()
    const begin = () => startForTest(books, { storage, transport, metrics })

    const all = disordered(
      kinds.flatMap((_, n) => orders.map((order) => recorded(order, n))),
      70,
    )
    // Each ninth comes again, a good while later.
    const messages = all.flatMap((event, index) => (index >= 30 && index % 9 === 0 ? [event, all[index - 30]!] : [event]))
    const inOrder = orders.every((order) =>
      messages.filter(({ stream }) => stream === `order:${order}`).every(({ version }, index) => version === index + 1),
    )
    expect(inOrder).toBe(false)

    const first = await begin()
    const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'shop' })
    onTestFinished(() => connection.close())
    const publish = async (some: readonly RecordedEvent[]): Promise<void> => {
      const outcomes = await connection.publish(
        topic.name,
        some.map((event) => encodeMessage(event, topic)),
      )
      expect(outcomes.every(({ ok }) => ok)).toBe(true)
    }
    const middle = messages.length >> 1
    await publish(messages.slice(0, middle))
    await eventually(async () => expect((await first.store.log()).head).toBeGreaterThan(10))
    await first.stop()
    const second = await begin()
    await publish(messages.slice(middle))

    const expected = Object.fromEntries(orders.map((order) => [order, handledAt]))
    await eventually(async () => {
      const booked: Record<string, number[]> = {}
      for await (const { data } of second.store.readLog({ types: ['Booked'] })) {
        const { order, n } = data as Step
        ;(booked[order] ??= []).push(n)
      }
      expect(booked).toEqual(expected)
    }, 40_000)
    await eventually(async () => expect((await second.deadLetters.list()).documents).toHaveLength(orders.length))
    const [processor] = second.status().processors.map((status) => status.processor)
    expect(metrics.value('headwater_sequence_gaps_total', { processor: processor! })).toBe(0)
    expect(metrics.value('headwater_messages_stale_total', { processor: processor! })).toBe(0)
    expect(metrics.value('headwater_sequence_waiting', { processor: processor! })).toBe(0)
    // Nothing is left that the broker would give out again.
    await eventually(async () =>
      expect((await connection.lag(topic.name, 'books.book')).every(({ messages: left }) => left === 0)).toBe(true),
    )
  })
}

describe('a sequenced topic over a log', () => {
  describeOnEveryStore('its consumer', (fresh) => keepsOrder(async () => log(await freshSqlite()), fresh))
})

describeOnBroker('ElasticMQ', 'a sequenced topic on a standard queue of SQS', (endpoint) => {
  describeOnEveryStore('its consumer', (fresh) => keepsOrder(async () => sqs(near(endpoint, { fifo: false })), fresh))
})
