// The same with Drizzle: one line makes its transaction fit.
import { randomUUID } from 'node:crypto'
import type { SQL } from 'drizzle-orm'
import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import { integer, pgTable, text } from 'drizzle-orm/pg-core'
import pg from 'pg'
import type { UserTransaction } from 'headwater/postgres'
import { outbox } from 'headwater/postgres'
import { OrderPlaced, OutOfStock, schema, startBilling, url } from './orders.ts'

const pool = new pg.Pool({ connectionString: url })
const db = drizzle(pool)
const placedOrders = pgTable('placed_orders', { orderId: text('order_id').primaryKey(), total: integer('total').notNull() })

/** The text has one placeholder, at which Drizzle wants the value itself. */
function inDrizzle(tx: { execute(query: SQL): Promise<unknown> }): UserTransaction {
  return {
    query(statement, [value]) {
      const [before = '', after = ''] = statement.split('$1')
      return tx.execute(sql`${sql.raw(before)}${value}${sql.raw(after)}`)
    },
  }
}

async function placeOrder(orderId: string, total: number): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.insert(placedOrders).values({ orderId, total })
    await outbox(inDrizzle(tx), { schema, source: 'shop' }).publish(OrderPlaced({ orderId, total }), { stream: `order:${orderId}` })
    if (total > 1_000) throw new OutOfStock('we do not have that much')
  })
}

const billing = await startBilling()
await db.execute(sql`CREATE TABLE IF NOT EXISTS placed_orders (order_id text PRIMARY KEY, total integer NOT NULL)`)

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
