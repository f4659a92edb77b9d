import type { App } from 'headwater'
import { stockTopic } from '../inventory/events.ts'
import { paymentTopic } from '../payments/events.ts'
import { orderTopic } from './events.ts'
import { order } from './order.ts'
import { findOrders, orderById, ordersByStatus, ordersOfCustomer, ordersReadyToShip } from './queries.ts'
import { followOrders } from './reactions.ts'
import { customerOrders, orderSummary } from './read-models.ts'
import { orderCounts, readyToShip } from './work-lists.ts'

export const orders = {
  aggregates: [order],
  handlers: [followOrders],
  projections: [orderSummary, customerOrders, readyToShip, orderCounts],
  queries: [orderById, findOrders, ordersOfCustomer, ordersReadyToShip, ordersByStatus],
  publishes: [orderTopic],
  subscribes: [stockTopic, paymentTopic],
}

/** What runs orders, be it the whole shop or this service alone. */
export type OrdersApp = App<keyof typeof order.commands, (typeof orders.queries)[number]['name']>
