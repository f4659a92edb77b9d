// The same with Kysely: one line makes its transaction fit.
import { randomUUID } from 'node:crypto'
import type { Transaction } from 'kysely'
import { CompiledQuery, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { UserTransaction } from 'headwater/postgres'
import { outbox } from 'headwater/postgres'
import { OrderPlaced, OutOfStock, schema, startBilling, url } from './orders.ts'

interface Database {
  placed_orders: { order_id: string; total: number }
}

const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool: new pg.Pool({ connectionString: url }) }) })

function inKysely(tx: Transaction<Database>): UserTransaction {
  return { query: (text, values) => tx.executeQuery(CompiledQuery.raw(text, values)) }
}

async function placeOrder(orderId: string, total: number): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.insertInto('placed_orders').values({ order_id: orderId, total }).execute()
    await outbox(inKysely(tx), { schema, source: 'shop' }).publish(OrderPlaced({ orderId, total }), { stream: `order:${orderId}` })
    if (total > 1_000) throw new OutOfStock('we do not have that much')
  })
}

const billing = await startBilling()
await sql`CREATE TABLE IF NOT EXISTS placed_orders (order_id text PRIMARY KEY, total integer NOT NULL)`.execute(db)

// Neither the row nor the event remains of an order that is rolled back.
await placeOrder(randomUUID(), 5_000).catch((error: unknown) => {
  if (!(error instanceof OutOfStock)) throw error
})
const orderId = randomUUID()
const heard = billing.heardOf(orderId)
await placeOrder(orderId, 42)
await heard

await billing.app.stop()
await db.destroy()
