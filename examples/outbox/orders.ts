import { z } from 'zod'
import { defineEvent, defineHandler, defineService, start } from 'headwater'
import type { App } from 'headwater'
import { postgres } from 'headwater/postgres'

export const OrderPlaced = defineEvent('OrderPlaced', z.object({ orderId: z.string(), total: z.int().nonnegative() }))

/** Where the programs of this folder work: `node … pg.ts [postgres://…] [schema]`; without a URL the one in DATABASE_URL. */
export const url: string = process.argv[2] ?? process.env['DATABASE_URL'] ?? 'postgres://postgres@127.0.0.1/postgres'
export const schema: string = process.argv[3] ?? 'headwater'

/** Some other part of the business, which is told of orders. `heardOf` resolves when it has heard of one. */
export async function startBilling(): Promise<{ readonly app: App<never, never>; heardOf(orderId: string): Promise<void> }> {
  const heard = new Map<string, () => void>()
  const bill = defineHandler('bill', { on: OrderPlaced, startAt: 'now' }, ({ data, position }) => {
    process.stdout.write(`billing heard of ${data.orderId} over ${data.total} €: event ${position} of the log\n`)
    heard.get(data.orderId)?.()
  })
  const app = await start(defineService('billing', { handlers: [bill] }), { storage: postgres(url, { schema }), migrate: true })
  return { app, heardOf: (orderId) => new Promise((resolve) => heard.set(orderId, resolve)) }
}

export class OutOfStock extends Error {}
