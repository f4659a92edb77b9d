import { defineService, start } from 'headwater'
import type { Environment, Storage } from 'headwater'
import { bestSellers, productSales } from './analytics/sales.ts'
import { keepStock } from './inventory/reactions.ts'
import { stock } from './inventory/stock.ts'
import { notify } from './notifications/notify.ts'
import { order } from './orders/order.ts'
import { findOrders, orderById, ordersByStatus, ordersOfCustomer, ordersReadyToShip } from './orders/queries.ts'
import { followOrders } from './orders/reactions.ts'
import { customerOrders, orderSummary } from './orders/read-models.ts'
import { orderCounts, readyToShip } from './orders/work-lists.ts'
import type { Bank } from './payments/bank.ts'
import { chargeWith } from './payments/charge.ts'

/** All services of the shop in one process and one store. Each knows the others' events only, so that each could run on its own as well. */
export const shopWith = (bank: Bank, { analytics = true }: { readonly analytics?: boolean } = {}) =>
  defineService('shop', {
    aggregates: [order, stock],
    handlers: [followOrders, keepStock, chargeWith(bank), notify],
    projections: [orderSummary, customerOrders, readyToShip, orderCounts, ...(analytics ? [productSales] : [])],
    queries: [orderById, findOrders, ordersOfCustomer, ordersReadyToShip, ordersByStatus, ...(analytics ? [bestSellers] : [])],
  })

/** Opens the shop on a store. The lease is short, since here a crash should be over in two seconds rather than in five. */
export const openShop = (
  { bank, storage, analytics = true }: { readonly bank: Bank; readonly storage: Storage; readonly analytics?: boolean },
  environment: Partial<Environment> = {},
) => start(shopWith(bank, { analytics }), { ...environment, storage, leaseMs: 2_000 })

export type Shop = Awaited<ReturnType<typeof openShop>>
