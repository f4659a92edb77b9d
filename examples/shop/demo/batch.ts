import { setTimeout as delay } from 'node:timers/promises'
import { packAndShip } from '../orders/packing.ts'
import type { OrdersApp } from '../orders/service.ts'
import type { Bank } from '../payments/bank.ts'
import type { OrderCounts } from '../orders/work-lists.ts'
import type { Shop } from '../shop.ts'
import { deliver } from '../suppliers/deliver.ts'
import { checkBooks } from './books.ts'
import { Customers } from './customers.ts'
import { countOrders } from './figures.ts'
import { count, duration } from './format.ts'
import { printBooks } from './print-books.ts'
import { Screen } from './screen.ts'
import { drawShop } from './view.ts'

const customersAtOnce = 32
/** While the shop is further behind than this, customers wait outside: otherwise they would only make each other's orders late. */
const mostEventsBehind = 500
/** When nothing has happened for so long although orders are open, something is wrong. */
export const patienceMs = 60_000

/** Orders are open, and nothing happens. */
export class StandstillError extends Error {}

/** Places so many orders, waits until each is shipped or cancelled, and checks the books. The exit code is 0 only when they add up. */
export async function runBatch(
  { app, bank, orders, title, warnings }: { app: Shop; bank: Bank; orders: number; title: string; warnings: readonly string[] },
  interrupted: AbortSignal,
): Promise<number> {
  const done = new AbortController()
  const fail = (error: unknown): void => done.abort(error)
  const signal = AbortSignal.any([interrupted, done.signal])
  const customers = new Customers(app, { patienceMs: 400, signal, deliver: (lines) => deliver(app.store, lines) })
  const shown = { title, footer: [] }
  const screen = new Screen(drawShop(app, customers, warnings, shown), shown, fail)
  const startedMs = performance.now()

  screen.start()
  const packing = packAndShip(app, { signal, packingMs: 0 }).catch(fail)
  const watching = watchForStandstill(app, signal).catch(fail)
  await place(app, customers, orders, signal).catch(fail)
  await settle(app, signal).catch(fail)
  const tookMs = performance.now() - startedMs
  await screen.stop()
  const failure = done.signal.aborted ? done.signal.reason : undefined
  done.abort()
  await Promise.all([packing, watching])
  if (failure !== undefined) throw failure
  if (interrupted.aborted) {
    process.stdout.write(
      `\nInterrupted when ${count(customers.placed)} orders were placed. The next run goes on with those that are open.\n`,
    )
    return 130
  }

  const speed = `${count(Math.round((orders * 1_000) / tookMs))} orders/s`
  process.stdout.write(
    `\n${count(orders)} orders in ${duration(tookMs)}${orders > 0 ? `, ${speed}, from placing to the last parcel` : ''}.\n\n`,
  )
  return printBooks(await checkBooks(app, bank)) ? 0 : 1
}

/** Lets in so many customers as fast as the shop can serve them. */
export async function place(app: OrdersApp, customers: Customers, orders: number, signal: AbortSignal): Promise<void> {
  let left = orders
  const customer = async (): Promise<void> => {
    while (left > 0 && !signal.aborted) {
      if (behind(app) > mostEventsBehind) await delay(5)
      else {
        left--
        await customers.order().catch((error: unknown) => {
          left = 0
          throw error
        })
      }
    }
  }
  const visits = await Promise.allSettled(Array.from({ length: Math.min(orders, customersAtOnce) }, customer))
  for (const visit of visits) if (visit.status === 'rejected') throw visit.reason
}

/** Resolves when no order is open and everything that runs has seen the whole log. */
export async function settle(app: Shop, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const { head } = await app.store.log()
    const orders = await countOrders(app)
    if (orders && openOf(orders) === 0 && app.status().head === head && behind(app) === 0) return
    await delay(10)
  }
}

/** @throws StandstillError when no event has come for a minute, although orders are open */
async function watchForStandstill(app: Shop, signal: AbortSignal): Promise<void> {
  let last = { head: -1, ms: performance.now() }
  while (!signal.aborted) {
    await delay(250, undefined, { signal }).catch(() => undefined)
    const { head } = app.status()
    if (head > last.head) last = { head, ms: performance.now() }
    if (performance.now() - last.ms > patienceMs) throw new StandstillError(reasonsOf(app))
  }
}

function openOf({ placed, confirmed, paid }: OrderCounts): number {
  return placed + confirmed + paid
}

function behind(app: OrdersApp): number {
  return Math.max(...app.status().processors.map(({ lagEvents = 0 }) => lagEvents))
}

function reasonsOf(app: Shop): string {
  const failures = app.status().processors.flatMap(({ processor, failure }) => (failure ? [`${processor}: ${failure}`] : []))
  return `nothing has happened for ${patienceMs / 1_000} seconds, and not every order is shipped or cancelled (${failures.join('; ') || 'no processor reports a failure'})`
}
