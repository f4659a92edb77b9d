import { setTimeout as delay } from 'node:timers/promises'
import { bestSellers } from '../analytics/sales.ts'
import type { Routes } from '../http/routes.ts'
import { serve } from '../http/server.ts'
import { packAndShip } from '../orders/packing.ts'
import type { Shop } from '../shop.ts'
import { deliver } from '../suppliers/deliver.ts'
import { Customers } from './customers.ts'
import { countOrders } from './figures.ts'
import { count } from './format.ts'
import type { Options } from './options.ts'
import { Screen } from './screen.ts'
import { withoutPassword } from './storage.ts'
import { drawShop } from './view.ts'

/** The shop until Ctrl-C: customers, people who pack, the HTTP API, and what happens on the screen. */
export async function runLive(app: Shop, options: Options, warnings: string[], interrupted: AbortSignal): Promise<void> {
  const failed = new AbortController()
  const fail = (error: unknown): void => failed.abort(error)
  const signal = AbortSignal.any([interrupted, failed.signal])
  await using server = await serve(app, { port: options.port, more: salesRoutes(app) })
  const customers = new Customers(app, { patienceMs: 2_000, signal, deliver: (lines) => deliver(app.store, lines) })
  const store = withoutPassword(options.storage)
  const shown = { title: `headwater shop on ${store}`, footer: whereToLook(server.url, store) }
  const screen = new Screen(drawShop(app, customers, warnings, shown), shown, fail)

  screen.start()
  const packing = packAndShip(app, { signal, packingMs: 400 }).catch(fail)
  await receiveCustomers(customers, options.rate, signal, fail)
  await packing
  await screen.stop()
  if (failed.signal.aborted) throw failed.signal.reason

  const orders = await countOrders(app)
  const { head } = await app.store.log()
  const total = orders ? Object.values(orders).reduce((sum, number) => sum + number, 0) : 0
  process.stdout.write(
    `\nClosed. ${count(customers.placed)} orders in this run; ${count(total)} orders and ${count(head)} events in ${store}.\n` +
      'Go on where you left: npm start.  Check the books: npm start -- --orders 0\n',
  )
}

/** They come at random, `rate` a second on average, whether or not those before them have been served. */
export async function receiveCustomers(
  customers: Customers,
  rate: number,
  signal: AbortSignal,
  fail: (error: unknown) => void,
): Promise<void> {
  const inside = new Set<Promise<void>>()
  // By the clock: a machine that is late does not make fewer of them come.
  let nextMs = performance.now()
  while (!signal.aborted) {
    const customer = customers.order().catch(fail)
    inside.add(customer)
    void customer.finally(() => inside.delete(customer))
    nextMs += (-Math.log(1 - Math.random()) * 1_000) / rate
    await delay(Math.max(0, nextMs - performance.now()), undefined, { signal }).catch(() => undefined)
  }
  await Promise.all(inside)
}

function whereToLook(url: string, store: string): readonly string[] {
  return [
    `in a browser   ${url}`,
    `an order       curl -d '{"customer":"Ada","items":[{"sku":"mug","quantity":1}]}' ${url}orders`,
    `its customer   curl ${url}customers/ada`,
    `the log        npm run headwater -- log --follow --storage ${store}`,
    `read models    npm run headwater -- projections --storage ${store}`,
    'Ctrl-C ends it; npm start goes on.',
  ]
}

/** What analytics has to say, since it runs here too. */
function salesRoutes(app: Shop): Routes {
  return { 'GET /best-sellers': async () => Response.json(await app.query(bestSellers, {})) }
}
