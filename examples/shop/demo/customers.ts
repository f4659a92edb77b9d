import { setTimeout as delay } from 'node:timers/promises'
import { accepted, uuidv7 } from 'headwater'
import { catalogue } from '../catalogue.ts'
import type { Product } from '../catalogue.ts'
import { AddItem, CancelOrder, PlaceOrder, RemoveItem } from '../orders/commands.ts'
import { orderById } from '../orders/queries.ts'
import type { OrdersApp } from '../orders/service.ts'
import type { Delivery } from '../suppliers/deliver.ts'

const names =
  'Ada Alan Barbara Clara Donald Edsger Frances Grace Hedy Jim John Katherine Ken Leslie Margaret Niklaus Radia Tim Tony Whitfield'.split(
    ' ',
  )
const popularity = catalogue.reduce((sum, product) => sum + product.popularity, 0)
/** A lorry comes every so many orders, and brings a little less than what they ask for on average: two products each, one or two pieces. */
const ordersPerLorry = 50
const pieces = ordersPerLorry * 2 * 1.5 * 0.96

export interface CustomersOptions {
  /** Within this time somebody who changes their mind cancels. */
  readonly patienceMs: number
  /** When the shop closes. */
  readonly signal: AbortSignal
  /** Sends a lorry to the warehouse, every so many orders. */
  readonly deliver: (lines: Delivery) => Promise<void>
  /** Told how long it took until an order was accepted. */
  readonly onPlaced?: (placingMs: number) => void
}

/** The load: customers who fill baskets, change their minds, place orders, look at them, and now and then cancel. */
export class Customers {
  readonly #app: OrdersApp
  readonly #options: CustomersOptions
  readonly #latencies: number[] = []
  #begun = 0
  #placed = 0

  constructor(app: OrdersApp, options: CustomersOptions) {
    this.#app = app
    this.#options = options
  }

  get placed(): number {
    return this.#placed
  }

  /** From sending the command until a query shows what it did, in milliseconds: the latest 500, sorted. */
  get readYourWriteMs(): readonly number[] {
    return this.#latencies.toSorted((a, b) => a - b)
  }

  /** One customer buys something. */
  async order(): Promise<void> {
    if (this.#begun++ % ordersPerLorry === 0) await this.#unloadLorry()
    const orderId = uuidv7()
    const customerName = pick(names)
    const products = new Set([wish(), wish(), ...(chance(0.1) ? [wish()] : [])])
    for (const product of products)
      accepted(await this.#app.send(AddItem, { orderId, item: { ...product, quantity: chance(0.5) ? 2 : 1 } }))
    const [first] = products
    if (first && products.size > 1 && chance(0.05)) accepted(await this.#app.send(RemoveItem, { orderId, sku: first.sku }))
    await this.#place(orderId, customerName)
    if (chance(0.04)) await this.#changeMind(orderId)
  }

  async #place(orderId: string, customerName: string): Promise<void> {
    const startedMs = performance.now()
    const { position } = accepted(await this.#app.send(PlaceOrder, { orderId, customerId: customerName.toLowerCase(), customerName }))
    this.#placed++
    this.#options.onPlaced?.(performance.now() - startedMs)
    await this.#app.query(orderById, { orderId }, { atLeast: position, timeoutMs: 30_000 })
    this.#latencies.push(performance.now() - startedMs)
    if (this.#latencies.length > 500) this.#latencies.shift()
  }

  /** At once, or just when the order has been confirmed and is being paid. When the parcel has left it is too late, which is no error. */
  async #changeMind(orderId: string): Promise<void> {
    const { patienceMs, signal } = this.#options
    if (chance(0.5)) await delay(Math.random() * patienceMs, undefined, { signal }).catch(() => undefined)
    else for await (const order of this.#app.watch(orderById, { orderId }, { signal })) if (order?.status !== 'placed') break
    await this.#app.send(CancelOrder, { orderId, reason: 'the customer has changed their mind' })
  }

  async #unloadLorry(): Promise<void> {
    const lines = catalogue.map((product) => ({ sku: product.sku, quantity: Math.round((pieces * product.popularity) / popularity) }))
    await this.#options.deliver(lines)
  }
}

function chance(probability: number): boolean {
  return Math.random() < probability
}

function pick<T>(list: readonly T[]): T {
  return list[Math.floor(Math.random() * list.length)]!
}

function wish(): Product {
  let left = Math.random() * popularity
  return catalogue.find((product) => (left -= product.popularity) < 0) ?? catalogue[0]!
}
