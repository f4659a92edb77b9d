import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineCommand } from '../../src/message/command.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { RemoteCommandError, RequestTimeoutError } from '../../src/service/remote-commands.ts'
import { defineService } from '../../src/service/service.ts'
import type { Storage } from '../../src/storage/port.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { kafka } from '../../src/transport/kafka/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { rabbitmq } from '../../src/transport/rabbitmq/index.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { order, PayOrder, PlaceOrder } from '../support/orders.ts'

interface Places {
  readonly shop: Storage
  readonly orders: Storage
  readonly transport?: Transport
}

let names = 0

async function freshFile(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return join(directory, 'store.db')
}

function scenarios(places: () => Promise<Places>): void {
  async function world() {
    const { shop: shopStore, orders: ordersStore, transport } = await places()
    const name = `orders-${process.pid}-${Date.now().toString(36)}-${++names}`
    const orders = defineService(name, { aggregates: [order], accepts: [PlaceOrder, PayOrder] })
    const shop = defineService(`shop-${name}`, { sendsTo: [name] })
    const over = transport ? { transport } : {}
    const startOrders = () => startForTest(orders, { storage: ordersStore, ...over })
    const startShop = () => startForTest(shop, { storage: shopStore, ...over })
    return { to: name, startOrders, startShop }
  }

  test('a command is carried out by the other service, once an id, and its outcome comes back', { timeout: 120_000 }, async () => {
    const { to, startOrders, startShop } = await world()
    const orders = await startOrders()
    const shop = await startShop()
    const place = { orderId: 'o-1', customer: 'Ada', total: 12 }
    const first = await shop.request(PlaceOrder, place, { to, id: 'place-1', timeoutMs: 40_000 })
    expect(first).toMatchObject({ ok: true, version: 1 })
    expect(await shop.request(PlaceOrder, place, { to, id: 'place-1', timeoutMs: 40_000 })).toEqual(first)
    expect(await shop.request(PlaceOrder, place, { to, timeoutMs: 40_000 })).toMatchObject({ ok: false, code: 'order-exists' })
    expect(await orders.state(order, 'o-1')).toMatchObject({ status: 'placed' })
  })

  test('what was sent waits for a service that is not there yet', { timeout: 120_000 }, async () => {
    const { to, startOrders, startShop } = await world()
    const earlier = await startOrders()
    await earlier.stop()
    const shop = await startShop()
    await shop.dispatch(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 }, { to, key: 'o-1' })
    await expect(
      shop.request(PayOrder, { orderId: 'o-1', paymentId: 'p-1' }, { to, id: 'pay', key: 'o-1', timeoutMs: 200 }),
    ).rejects.toThrow(RequestTimeoutError)
    const orders = await startOrders()
    expect(
      await shop.request(PayOrder, { orderId: 'o-1', paymentId: 'p-1' }, { to, id: 'pay', key: 'o-1', timeoutMs: 40_000 }),
    ).toMatchObject({ ok: true })
    await eventually(async () => expect(await orders.state(order, 'o-1')).toMatchObject({ status: 'paid' }))
  })

  test('a command that the other service does not accept is an error that says so', { timeout: 120_000 }, async () => {
    const { to, startOrders, startShop } = await world()
    await startOrders()
    const shop = await startShop()
    const Unknown = defineCommand('Unknown', jsonSchema<{ n: number }>({ type: 'object' }))
    const refused = shop.request(Unknown, { n: 1 }, { to, timeoutMs: 40_000 })
    await expect(refused).rejects.toThrow(RemoteCommandError)
    await expect(refused).rejects.toThrow(/accepts no command Unknown/)
    await expect(shop.dispatch(PlaceOrder, { orderId: 'o', customer: '', total: 1 }, { to: 'nobody' })).rejects.toThrow(
      /list it in sendsTo/,
    )
  })
}

describe('commands between services on one log', () =>
  scenarios(async () => {
    const storage = sqlite(await freshFile())
    return { shop: storage, orders: storage }
  }))

const apart = (transport: () => Promise<Transport>) => async (): Promise<Places> => ({
  shop: sqlite(await freshFile()),
  orders: sqlite(await freshFile()),
  transport: await transport(),
})
describe('commands between services over a log transport', () => scenarios(apart(async () => log(sqlite(await freshFile())))))
describeOnBroker('Kafka', 'commands between services over Kafka', (brokers) =>
  scenarios(apart(async () => kafka({ brokers: brokers.split(',') }))),
)
describeOnBroker('RabbitMQ', 'commands between services over RabbitMQ', (url) => scenarios(apart(async () => rabbitmq({ url }))))
describeOnBroker('NATS JetStream', 'commands between services over NATS', (servers) => scenarios(apart(async () => nats({ servers }))))
