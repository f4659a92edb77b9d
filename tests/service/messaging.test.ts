import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { kafka } from '../../src/transport/kafka/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { rabbitmq } from '../../src/transport/rabbitmq/index.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'

const data = jsonSchema<{ orderId: string; n: number }>({ type: 'object', required: ['orderId', 'n'] })
const OrderPlaced = defineEvent('OrderPlaced', data)
const OrderPaid = defineEvent('OrderPaid', data)
const PaymentBooked = defineEvent('PaymentBooked', data)

let topics = 0
const freshName = (name: string) => `${name}-${process.pid}-${Date.now().toString(36)}-${++topics}`

async function freshFile(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'store.db')
}

function messagingOver(freshTransport: () => Promise<Transport>): void {
  /** Two services that share no store, and the topics between them. */
  async function world(charge: (orderId: string, n: number) => void = () => {}) {
    const transport = await freshTransport()
    const orderEvents = defineTopic(freshName('orders'), { events: [OrderPlaced] })
    const paymentEvents = defineTopic(freshName('payments'), { events: [OrderPaid] })
    const note = defineHandler('note', { on: OrderPaid, emits: PaymentBooked }, ({ data: paid }, { emit }) => emit(PaymentBooked(paid)))
    const chargeOrder = defineHandler('charge', { on: OrderPlaced, emits: OrderPaid }, ({ data: placed }, { emit }) => {
      charge(placed.orderId, placed.n)
      emit(OrderPaid(placed))
    })
    const orders = defineService('orders', { handlers: [note], publishes: [orderEvents], subscribes: [paymentEvents] })
    const payments = defineService('payments', { handlers: [chargeOrder], publishes: [paymentEvents], subscribes: [orderEvents] })
    const ordersStore = sqlite(await freshFile())
    const paymentsStore = sqlite(await freshFile())
    const startOrders = () => startForTest(orders, { storage: ordersStore, transport })
    const startPayments = () => startForTest(payments, { storage: paymentsStore, transport })
    return { startOrders, startPayments }
  }

  type App = Awaited<ReturnType<typeof startForTest>>
  async function booked({ store }: App): Promise<Record<string, number[]>> {
    const byOrder: Record<string, number[]> = {}
    for await (const event of store.readLog({ types: ['PaymentBooked'] })) {
      const { orderId, n } = event.data as { orderId: string; n: number }
      ;(byOrder[orderId] ??= []).push(n)
    }
    return byOrder
  }
  const place = (app: App, orderId: string, n: number) => app.store.append(`order:${orderId}`, OrderPlaced({ orderId, n }))

  test('an event goes from service to service and what came of it back, once and in order', { timeout: 120_000 }, async () => {
    const { startOrders, startPayments } = await world()
    const [orders] = await Promise.all([startOrders(), startPayments()])
    const { position } = await place(orders, 'a', 0)
    await Promise.all(Array.from({ length: 50 }, (_, n) => place(orders, `o${n % 5}`, n)))
    const expected: Record<string, number[]> = { a: [0] }
    for (let n = 0; n < 50; n++) (expected[`o${n % 5}`] ??= []).push(n)
    await eventually(async () => expect(await booked(orders)).toEqual(expected), 40_000)
    const [first] = await orders.store.readLogPage({ after: position - 1, limit: 1 })
    const bookings = orders.store.readLog({ types: ['PaymentBooked'], correlationId: first!.correlationId })
    for await (const booking of bookings) expect(booking.data).toEqual({ orderId: 'a', n: 0 })
  })

  test('a service that starts later, or again, misses nothing and does nothing twice', { timeout: 120_000 }, async () => {
    const charged: string[] = []
    const { startOrders, startPayments } = await world((orderId, n) => void charged.push(`${orderId} ${n}`))
    const first = await startPayments()
    const orders = await startOrders()
    await place(orders, 'a', 1)
    await eventually(async () => expect(await booked(orders)).toEqual({ a: [1] }), 40_000)
    await first.stop()
    for (let n = 2; n <= 20; n++) await place(orders, 'a', n)
    await startPayments()
    await eventually(async () => expect((await booked(orders))['a']).toEqual(Array.from({ length: 20 }, (_, n) => n + 1)), 40_000)
    expect(charged.length).toBe(20)
  })

  test('a message that fails is parked with a copy, and those behind it wait, until it is tried again', { timeout: 120_000 }, async () => {
    let broken = true
    const { startOrders, startPayments } = await world((orderId, n) => {
      if (broken && orderId === 'a' && n === 1) throw new PermanentError('no such account')
    })
    const payments = await startPayments()
    const orders = await startOrders()
    for (const n of [1, 2]) for (const orderId of ['a', 'b']) await place(orders, orderId, n)
    await eventually(async () => expect(await booked(orders)).toEqual({ b: [1, 2] }), 40_000)
    const letters = async () => (await payments.deadLetters.list()).documents
    await eventually(async () => expect(await letters()).toHaveLength(2), 40_000)
    const [parked, waiting] = await letters()
    expect(parked).toMatchObject({
      state: 'parked',
      type: 'OrderPlaced',
      error: { code: 'permanent' },
      message: { data: { orderId: 'a', n: 1 } },
    })
    expect(parked?.origin?.topic).toMatch(/^orders-/)
    expect(waiting).toMatchObject({ state: 'waiting', message: { data: { orderId: 'a', n: 2 } } })
    broken = false
    expect(await payments.deadLetters.retry(parked!.id, { by: 'ada' })).toMatchObject({ outcome: 'succeeded' })
    await eventually(async () => expect(await booked(orders)).toEqual({ a: [1, 2], b: [1, 2] }), 40_000)
    expect(await letters()).toEqual([])
  })
}

describe('services over a log transport', () => messagingOver(async () => log(sqlite(await freshFile()))))
describeOnBroker('Kafka', 'services over Kafka', (brokers) => messagingOver(async () => kafka({ brokers: brokers.split(',') })))
describeOnBroker('RabbitMQ', 'services over RabbitMQ', (url) => messagingOver(async () => rabbitmq({ url })))
describeOnBroker('NATS JetStream', 'services over NATS JetStream', (servers) => messagingOver(async () => nats({ servers })))
describeOnBroker('ElasticMQ', 'services over Amazon SQS', (endpoint) =>
  messagingOver(async () => sqs({ endpoint, region: 'elasticmq', credentials: { accessKeyId: 'x', secretAccessKey: 'x' } })),
)
