import { defineService, start } from 'headwater'
import type { Environment, Storage } from 'headwater'
import { analytics as analyticsParts } from './analytics/service.ts'
import { inventory } from './inventory/service.ts'
import { notifications } from './notifications/service.ts'
import { orders } from './orders/service.ts'
import type { Bank } from './payments/bank.ts'
import { paymentsWith } from './payments/service.ts'

/**
 * All services of the shop in one process and one store: without a transport they need no topics, since they read one log. How the same services run as
 * processes of their own is told in `distributed/`.
 */
export const shopWith = (bank: Bank, { analytics = true }: { readonly analytics?: boolean } = {}) => {
  const { projections, queries } = analytics ? analyticsParts : { projections: [], queries: [] }
  return defineService('shop', {
    aggregates: [...orders.aggregates, ...inventory.aggregates],
    handlers: [...orders.handlers, ...inventory.handlers, ...paymentsWith(bank).handlers, ...notifications.handlers],
    projections: [...orders.projections, ...projections],
    queries: [...orders.queries, ...queries],
  })
}

/** Opens the shop on a store. The lease is short, since here a crash should be over in two seconds rather than in five. */
export const openShop = (
  { bank, storage, analytics = true }: { readonly bank: Bank; readonly storage: Storage; readonly analytics?: boolean },
  environment: Partial<Environment> = {},
) => start(shopWith(bank, { analytics }), { ...environment, storage, leaseMs: 2_000 })

export type Shop = Awaited<ReturnType<typeof openShop>>
