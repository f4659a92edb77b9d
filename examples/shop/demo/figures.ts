import { ProjectionBuildingError } from 'headwater'
import type { ProcessorStatus, RecordedEvent } from 'headwater'
import { ordersByStatus } from '../orders/queries.ts'
import type { OrdersApp } from '../orders/service.ts'
import type { OrderCounts } from '../orders/work-lists.ts'
import type { Shop } from '../shop.ts'
import type { Customers } from './customers.ts'

/** How the shop stands at one moment. */
export interface Figures {
  readonly at: Date
  readonly events: number
  readonly eventsPerSecond: number
  /** Undefined while the read model is being built. */
  readonly orders: OrderCounts | undefined
  readonly readYourWriteMs: readonly number[]
  readonly processors: readonly ProcessorStatus[]
  readonly latest: readonly RecordedEvent[]
  readonly warnings: readonly string[]
}

/** Looks at the shop, and says how fast it has been since it looked last. */
export class Observer {
  readonly #app: Shop
  readonly #customers: Customers
  readonly #warnings: readonly string[]
  #last: { readonly events: number; readonly ms: number; readonly perSecond: number } | undefined

  constructor(app: Shop, customers: Customers, warnings: readonly string[]) {
    this.#app = app
    this.#customers = customers
    this.#warnings = warnings
  }

  async look(latestEvents: number): Promise<Figures> {
    const { head: events } = await this.#app.store.log()
    return {
      at: new Date(),
      events,
      eventsPerSecond: this.#speed(events),
      orders: await countOrders(this.#app),
      readYourWriteMs: this.#customers.readYourWriteMs,
      processors: this.#app.status().processors,
      latest: latestEvents > 0 ? await this.#app.store.readLogPage({ after: Math.max(0, events - latestEvents), limit: latestEvents }) : [],
      warnings: this.#warnings,
    }
  }

  /** A little smoothed, since a quarter of a second holds few events. */
  #speed(events: number): number {
    const ms = performance.now()
    const last = this.#last ?? { events, ms: ms - 1_000, perSecond: 0 }
    const now = ((events - last.events) * 1_000) / (ms - last.ms)
    const perSecond = last.perSecond === 0 ? now : 0.7 * last.perSecond + 0.3 * now
    this.#last = { events, ms, perSecond }
    return perSecond
  }
}

export async function countOrders(app: OrdersApp): Promise<OrderCounts | undefined> {
  try {
    return (await app.query(ordersByStatus, {})) ?? { placed: 0, confirmed: 0, paid: 0, shipped: 0, cancelled: 0 }
  } catch (error) {
    if (error instanceof ProjectionBuildingError) return undefined
    throw error
  }
}

/** The value below which this part of the sorted values lies. */
export function quantile(sorted: readonly number[], part: number): number | undefined {
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]
}
