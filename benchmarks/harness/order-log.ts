import { availableParallelism } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { Place } from './place.ts'
import { openStore } from './place.ts'

/** The events of an order: one placed, seven items added, one paid, one shipped. Of 500 orders at a time, in turn. */
export const orderTypes = ['OrderPlaced', 'ItemAdded', 'OrderPaid', 'OrderShipped'] as const
export const eventsPerOrder = 10
/** Orders that are under way at the same time: 5,000 events in a row are about as many of them. */
const ordersAtOnce = 500
export const customers = 1_000_000
/** Without a common divisor with `customers`, so that a million events in a row are about a million of them. */
const customerStep = 611_953

/**
 * Fills an empty store with orders, in the form in which appends would have left them, but by the database itself. `data.orderId` is one of 500 at a
 * time; `data.customerId` is scattered over a million.
 */
export async function fillOrderLog(place: Place, events: number): Promise<void> {
  const store = await openStore(place)
  await store.close()
  await (place.store === 'sqlite' ? fillSqlite(place.path, events) : fillPostgres(place.url, events))
}

const firstMs = Date.UTC(2026, 0, 1)

interface Order {
  readonly number: number
  readonly version: number
  readonly type: (typeof orderTypes)[number]
  readonly customer: number
}

function orderAt(position: number): Order {
  const index = position - 1
  const place = index % (ordersAtOnce * eventsPerOrder)
  const version = Math.floor(place / ordersAtOnce) + 1
  const type = version === 1 ? 'OrderPlaced' : version < 9 ? 'ItemAdded' : version === 9 ? 'OrderPaid' : 'OrderShipped'
  const number = Math.floor(index / (ordersAtOnce * eventsPerOrder)) * ordersAtOnce + (place % ordersAtOnce)
  return { number, version, type, customer: Number((BigInt(index) * BigInt(customerStep)) % BigInt(customers)) }
}

/** A name as long as a UUIDv7, and as ordered. */
function idOf(kind: number, number: number): string {
  const hex = (firstMs + number).toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${kind}00-8000-${number.toString(16).padStart(12, '0')}`
}

/** The stream of the order that the last event of such a log belongs to. */
export function lastStream(events: number): string {
  return `order:${idOf(1, orderAt(events).number)}`
}

export function streamAt(position: number): string {
  return `order:${idOf(1, orderAt(position).number)}`
}

function dataOf({ number, version, customer }: Order): string {
  return JSON.stringify({
    orderId: idOf(1, number),
    customerId: `customer-${String(customer).padStart(7, '0')}`,
    sku: `article-${number % 1_000}`,
    quantity: version,
    price: 12.5,
    currency: 'EUR',
    note: 'please leave it with the neighbours',
  })
}

function fillSqlite(path: string, events: number): void {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA synchronous = OFF; PRAGMA cache_size = -100000')
  const insert = database.prepare(`
    INSERT INTO headwater_events (position, stream, version, type, schema_version, id, source, time_ms, correlation_id, causation_id, metadata, tags, data)
    VALUES (?, ?, ?, ?, 1, ?, 'benchmark', ?, ?, ?, NULL, NULL, ?)`)
  for (let position = 1; position <= events;) {
    database.exec('BEGIN')
    for (const end = Math.min(events, position + 100_000 - 1); position <= end; position++) {
      const order = orderAt(position)
      const id = idOf(0, position)
      insert.run(position, `order:${idOf(1, order.number)}`, order.version, order.type, id, firstMs + position, id, id, dataOf(order))
    }
    database.exec('COMMIT')
  }
  database.exec('PRAGMA wal_checkpoint(TRUNCATE); PRAGMA synchronous = FULL')
  database.close()
}

const eventsPerStatement = 100_000

async function fillPostgres(url: string, events: number): Promise<void> {
  let next = 1
  await Promise.all(
    Array.from({ length: Math.min(availableParallelism(), Math.ceil(events / eventsPerStatement)) }, async () => {
      const client = new pg.Client(url)
      await client.connect()
      await client.query('SET synchronous_commit = off')
      while (next <= events) {
        const from = next
        next += eventsPerStatement
        await client.query(insertOrders, [from, Math.min(events, next - 1), firstMs])
      }
      await client.end()
    }),
  )
  const client = new pg.Client(url)
  await client.connect()
  await client.query('VACUUM (ANALYZE) headwater.events')
  await client.query('CHECKPOINT')
  await client.end()
}

const idSql = (kind: number, number: string): string =>
  `substr(lpad(to_hex($3::bigint + ${number}), 12, '0'), 1, 8) || '-' || substr(lpad(to_hex($3::bigint + ${number}), 12, '0'), 9) ||
   '-7${kind}00-8000-' || lpad(to_hex(${number}), 12, '0')`

// The same as `orderAt` and `dataOf`, for positions from $1 to $2.
const insertOrders = `
  INSERT INTO headwater.events (position, stream, version, type, schema_version, id, source, time_ms, correlation_id, causation_id, data)
  SELECT position, 'order:' || order_id, version,
    CASE WHEN version = 1 THEN 'OrderPlaced' WHEN version < 9 THEN 'ItemAdded' WHEN version = 9 THEN 'OrderPaid' ELSE 'OrderShipped' END,
    1, id, 'benchmark', $3 + position, id, id,
    ('{"orderId":"' || order_id || '","customerId":"customer-' || lpad(((position - 1) * ${customerStep} % ${customers})::text, 7, '0') ||
      '","sku":"article-' || number % 1000 || '","quantity":' || version ||
      ',"price":12.5,"currency":"EUR","note":"please leave it with the neighbours"}')::json
  FROM (
    SELECT position, number, version, ${idSql(0, 'position')} AS id, ${idSql(1, 'number')} AS order_id
    FROM (
      SELECT position,
        (position - 1) / ${ordersAtOnce * eventsPerOrder} * ${ordersAtOnce} + (position - 1) % ${ordersAtOnce} AS number,
        (position - 1) % ${ordersAtOnce * eventsPerOrder} / ${ordersAtOnce} + 1 AS version
      FROM generate_series($1::bigint, $2::bigint) AS position
    ) AS orders
  ) AS events`
