// A service that keeps its orders in a table of its own, and publishes an event in the same transaction, with nothing but `pg`.
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { outbox } from 'headwater/postgres'
import { OrderPlaced, OutOfStock, schema, startBilling, url } from './orders.ts'

const pool = new pg.Pool({ connectionString: url })

async function placeOrder(orderId: string, total: number): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query('INSERT INTO placed_orders (order_id, total) VALUES ($1, $2)', [orderId, total])
    await outbox(client, { schema, source: 'shop' }).publish(OrderPlaced({ orderId, total }), { stream: `order:${orderId}` })
    if (total > 1_000) throw new OutOfStock('we do not have that much')
    await client.query('COMMIT')
  } catch (error) {
    await client.query('ROLLBACK')
    throw error
  } finally {
    client.release()
  }
}

const billing = await startBilling()
await pool.query('CREATE TABLE IF NOT EXISTS placed_orders (order_id text PRIMARY KEY, total integer NOT NULL)')

// Neither the row nor the event remains of an order that is rolled back.
await placeOrder(randomUUID(), 5_000).catch((error: unknown) => {
  if (!(error instanceof OutOfStock)) throw error
})
const orderId = randomUUID()
const heard = billing.heardOf(orderId)
await placeOrder(orderId, 42)
await heard

await billing.app.stop()
await pool.end()
