import { randomUUID } from 'node:crypto'
import { EventStore } from 'headwater'
import { sqlite } from 'headwater/sqlite'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { checkHearing } from '../../examples/shop/demo/books.ts'
import { Ledger } from '../../examples/shop/demo/ledger.ts'
import { OutOfStock } from '../../examples/shop/inventory/events.ts'
import { OrderPlaced } from '../../examples/shop/orders/events.ts'
import type { Broker } from '../support/brokers.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import { ShopProcess, temporaryDirectory } from './shop/start-shop.ts'

const services = ['orders', 'inventory', 'payments', 'notifications', 'analytics']

/** `npm run shop -- …` */
const startShop = (args: readonly string[], directory = temporaryDirectory()): ShopProcess =>
  new ShopProcess(directory, args, 'distributed/main.ts')

async function placesOrders(...args: readonly string[]): Promise<void> {
  const { code, output } = await startShop(['--orders', '20', ...args]).ended
  expect(output).toMatch(/events in 5 stores/)
  expect(output).toContain('20 placed')
  expect(output).toContain('The books add up.')
  expect(code).toBe(0)
}

/** The process of each service, as the supervisor names them. */
async function processesOf(shop: ShopProcess): Promise<ReadonlyMap<string, number>> {
  const [line] = await shop.printed(/orders \S+ \(process \d+\).*\n/)
  return new Map([...line.matchAll(/(\w+) \S+ \(process (\d+)\)/g)].map(([, service = '', id]) => [service, Number(id)]))
}

const hasEnded = (id: number): boolean => {
  try {
    process.kill(id, 0)
    return false
  } catch {
    return true
  }
}

describe('over a log in a file, without any server', { timeout: 300_000 }, () => {
  test('20 orders', () => placesOrders())

  test('a second run goes on with the stores and topics of the first', async () => {
    const directory = temporaryDirectory()
    expect((await startShop(['--orders', '5'], directory).ended).code).toBe(0)
    const { code, output } = await startShop(['--orders', '5'], directory).ended
    expect(output).toContain('10 placed')
    expect(output).toContain('The books add up.')
    expect(code).toBe(0)
  })

  test('an emptied directory does not hear of the orders that are still on the broker', async () => {
    const broker = ['--log', `sqlite:${temporaryDirectory()}/messages.db`]
    await placesOrders(...broker)
    await placesOrders(...broker)
  })

  test.each(services)('%s is killed and started again, and nothing is lost', async (service) => {
    const shop = startShop(['--orders', '400'])
    const ids = await processesOf(shop)
    await shop.printed(/shipped [1-9]/)
    process.kill(ids.get(service)!, 'SIGKILL')
    const { code, output } = await shop.ended
    expect(output).toMatch(/\b4\d\d placed/)
    expect(output).toContain('The books add up.')
    expect(code).toBe(0)
  })

  test('takes an order over HTTP, and Ctrl-C ends all processes', async () => {
    const shop = startShop(['--rate', '5', '--port', '0'])
    const ids = await processesOf(shop)
    const [url] = await shop.printed(/http:\/\/127\.0\.0\.1:\d+\//)
    const body = JSON.stringify({ customer: 'Grace Hopper', items: [{ sku: 'mug', quantity: 1 }] })
    const response = await fetch(`${url}orders`, { method: 'POST', body })
    expect(response.status).toBe(201)
    const { orderId } = (await response.json()) as { orderId: string }
    await eventually(async () => expect(await (await fetch(`${url}orders/${orderId}`)).text()).toMatch(/"status":"(shipped|cancelled)"/))
    expect(await (await fetch(url)).text()).toContain('<!doctype html>')

    shop.kill('SIGINT')
    const { code, output } = await shop.ended
    expect(output).toMatch(/Closed\. \d+ orders in this run/)
    expect(code).toBe(0)
    expect([...ids].filter(([, id]) => !hasEnded(id))).toEqual([])
  })

  test('all processes end with the supervisor, however that ends', async () => {
    const shop = startShop(['--rate', '5', '--port', '0'])
    const ids = await processesOf(shop)
    expect([...ids.keys()]).toEqual(services)
    await shop.printed(/shipped [1-9]/)
    shop.kill('SIGKILL')
    await eventually(() => expect([...ids].filter(([, id]) => !hasEnded(id))).toEqual([]))
  })

  test('Black Friday: the bank is slow, fails and recovers; customers notice nothing, and nobody is charged twice', async () => {
    const phases = ['--bank-ms', '20', '--slow-ms', '400', '--calm-for-ms', '2000', '--slow-for-ms', '2000', '--fail-for-ms', '2500']
    const { code, output } = await startShop(['--black-friday', '--port', '0', ...phases]).ended
    const rows = new Map(
      [...output.matchAll(/^(as usual again|as usual|slow|out of service|recovered) .*$/gm)].map(([row, name]) => [name, row]),
    )
    expect(rows.get('as usual')).toMatch(/ 0 {2}closed$/)
    expect(rows.get('slow')).toMatch(/ 0 {2}closed$/)
    expect(rows.get('out of service')).toMatch(/ 0 {2}closed → .*open/)
    expect(rows.get('recovered')).toMatch(/ 0 {2}.*open .*→ closed$/)
    expect(rows.get('as usual again')).toMatch(/ 0 {2}closed$/)
    // Orders are accepted all the while.
    for (const row of rows.values()) expect(Number(/ s {2,}([\d.]+)/.exec(row)?.[1]), row).toBeGreaterThan(5)
    expect(output).toMatch(/99 of 100 orders were placed within/)
    expect(output).toContain('The books add up.')
    expect(code).toBe(0)
  })
})

describeOnPostgres('on PostgreSQL, a schema a service', (url) => {
  test('20 orders', { timeout: 300_000 }, async () => {
    const prefix = `shop_${randomUUID().slice(0, 8)}`
    onTestFinished(async () => {
      const client = new pg.Client({ connectionString: url })
      await client.connect()
      for (const name of [...services, 'messages']) await client.query(`DROP SCHEMA IF EXISTS ${prefix}_${name} CASCADE`)
      await client.end()
    })
    const database = (schema: string): string => Object.assign(new URL(url), { search: `?schema=${schema}` }).href
    await placesOrders('--postgres', database(prefix), '--log', database(`${prefix}_messages`))
  })
})

const brokers: readonly (readonly [Broker, string])[] = [
  ['Kafka', '--kafka'],
  ['RabbitMQ', '--rabbitmq'],
  ['NATS JetStream', '--nats'],
  ['ElasticMQ', '--sqs'],
]
for (const [broker, flag] of brokers)
  describeOnBroker(broker, `over ${broker}`, (address) => {
    test('20 orders', { timeout: 300_000 }, () => placesOrders(flag, address))
  })

describe('a command line that cannot be', { timeout: 120_000 }, () => {
  test.each([
    [['--kafka', 'a:1', '--nats', 'b:1'], /^shop: one broker is enough: --kafka or --nats\n$/],
    [['--black-friday', '--orders', '5'], /^shop: on Black Friday orders are not counted.*\n$/],
    [['--slow-ms', 'long'], /^shop: --slow-ms takes a whole number .*'long'\n$/],
    [['--postgres', 'mysql://root:secret@db'], /^shop: --postgres takes .*\n$/],
    [['--log', 'redis://root:secret@db', '--orders', '1'], /^shop: \w+: --log takes sqlite:PATH .*\n$/],
  ])('%j', async (args, message) => {
    const { code, output } = await startShop(args).ended
    expect(output.replace(/^headwater shop.*\n/, '')).toMatch(message)
    expect(output).not.toContain('secret')
    expect(code).not.toBe(0)
  })

  test('a broker that cannot be reached', async () => {
    const { code, output } = await startShop(['--kafka', '127.0.0.1:1', '--orders', '1']).ended
    expect(output).toMatch(/^shop: \w+: .*127\.0\.0\.1:1.*\n$/)
    expect(code).toBe(1)
  })
})

test('the books find what a service has not heard, and do not take a copy for another event', async () => {
  const open = async (source: string): Promise<EventStore> => {
    const store = await EventStore.open(sqlite(':memory:'), { source })
    onTestFinished(() => store[Symbol.asyncDispose]())
    return store
  }
  const [orders, inventory, analytics] = [await open('orders'), await open('inventory'), await open('analytics')]
  const placed = { customerId: 'ada', customerName: 'Ada', items: [], total: 0 }
  await orders.append('order:o-1', OrderPlaced({ orderId: 'o-1', ...placed }))
  await orders.append('order:o-2', OrderPlaced({ orderId: 'o-2', ...placed }))
  await inventory.append('stock:main', OutOfStock({ orderId: 'o-1', sku: 'mug' }))
  for await (const event of orders.readLog({ limit: 1 })) await analytics.append('copies:o-1', event)

  const ledger = await Ledger.of(orders, inventory, analytics)
  expect(ledger.events).toBe(4)
  expect(ledger.accounts.size).toBe(2)
  expect(ledger.told.get('OrderPlaced')).toBe(2)
  const listeners = [{ service: 'analytics', projections: [{ events: { OrderPlaced, OutOfStock } }] }]
  expect(checkHearing(ledger, listeners).wrong).toEqual(['analytics has heard 1 of 2 OrderPlaced', 'analytics has heard 0 of 1 OutOfStock'])
})
