import { Customers } from '../demo/customers.ts'
import { place } from '../demo/batch.ts'
import { receiveCustomers } from '../demo/live.ts'
import type { Server } from '../http/server.ts'
import { serve } from '../http/server.ts'
import { packAndShip } from '../orders/packing.ts'
import type { OrdersApp } from '../orders/service.ts'
import type { Delivery } from '../suppliers/deliver.ts'
import type { FrontReport, Load } from './words.ts'

export interface FrontOptions {
  readonly deliver: (lines: Delivery) => Promise<void>
  readonly fail: (error: unknown) => void
}

/** Where people meet the shop, in the process of orders: customers, those who pack their parcels, and the HTTP API. */
export class Front implements AsyncDisposable {
  readonly #app: OrdersApp
  readonly #options: FrontOptions
  readonly #closing = new AbortController()
  readonly #doors = new AbortController()
  #server: Server | undefined
  #working: Promise<unknown> = Promise.resolve()
  #customers: FrontReport['customers'] = 'not yet'
  #placingMs: number[] = []

  constructor(app: OrdersApp, options: FrontOptions) {
    this.#app = app
    this.#options = options
  }

  /** Lets customers in, and has their parcels packed: at leisure where somebody watches, else as fast as it goes. */
  async open(load: Load): Promise<void> {
    const { deliver, fail } = this.#options
    const { signal } = this.#closing
    const isCounted = 'orders' in load
    const onPlaced = (placingMs: number): void => void this.#placingMs.push(placingMs)
    const customers = new Customers(this.#app, { patienceMs: isCounted ? 400 : 2_000, signal, deliver, onPlaced })
    if (!isCounted) this.#server = await serve(this.#app, { port: load.port })
    this.#customers = 'inside'
    const doors = AbortSignal.any([signal, this.#doors.signal])
    const visits = isCounted ? place(this.#app, customers, load.orders, doors) : receiveCustomers(customers, load.rate, doors, fail)
    const packing = packAndShip(this.#app, { signal, packingMs: isCounted ? 0 : 400 })
    this.#working = Promise.all([visits.catch(fail).finally(() => (this.#customers = 'gone')), packing.catch(fail)])
  }

  /** Nobody else comes in; those who are inside are served. */
  closeDoors(): void {
    this.#doors.abort()
  }

  report(): FrontReport {
    const placingMs = this.#placingMs
    this.#placingMs = []
    return { url: this.#server?.url, placingMs, customers: this.#customers }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort()
    await this.#server?.[Symbol.asyncDispose]()
    await this.#working
  }
}
