import { defineProjection } from 'headwater'
import { StockReleased, StockReserved } from '../inventory/events.ts'
import { OrderCancelled, OrderConfirmed, OrderPaid, OrderPlaced, OrderShipped } from './events.ts'

export interface ReadyToShip {
  orderId: string
  customerName: string
  products: readonly string[]
  reserved: boolean
  paid: boolean
  ready: boolean
}

/** Two services must have agreed before an order may be packed. It leaves the list when it is shipped or will never be. */
export const readyToShip = defineProjection('ready-to-ship', (orderId): ReadyToShip => ({
  orderId,
  customerName: '',
  products: [],
  reserved: false,
  paid: false,
  ready: false,
}))
  .index('ready')
  .fold({ OrderPlaced, StockReserved, OrderPaid, OrderShipped, OrderCancelled, StockReleased }, ({ data }) => data.orderId, {
    OrderPlaced: (order, { data }) => ({
      ...order,
      customerName: data.customerName,
      products: data.items.map(({ quantity, name }) => `${quantity} × ${name}`),
    }),
    StockReserved: (order) => ({ ...order, reserved: true, ready: order.paid }),
    OrderPaid: (order) => ({ ...order, paid: true, ready: order.reserved }),
    OrderShipped: () => null,
    OrderCancelled: () => null,
    StockReleased: () => null,
  })

export interface OrderCounts {
  placed: number
  confirmed: number
  paid: number
  shipped: number
  cancelled: number
}

/** How many orders are in which state now: one document for the whole shop. */
export const orderCounts = defineProjection('order-counts', (): OrderCounts => ({
  placed: 0,
  confirmed: 0,
  paid: 0,
  shipped: 0,
  cancelled: 0,
})).fold({ OrderPlaced, OrderConfirmed, OrderPaid, OrderShipped, OrderCancelled }, () => 'all', {
  OrderPlaced: (counts) => ({ ...counts, placed: counts.placed + 1 }),
  OrderConfirmed: (counts) => ({ ...counts, placed: counts.placed - 1, confirmed: counts.confirmed + 1 }),
  OrderPaid: (counts) => ({ ...counts, confirmed: counts.confirmed - 1, paid: counts.paid + 1 }),
  OrderShipped: (counts) => ({ ...counts, paid: counts.paid - 1, shipped: counts.shipped + 1 }),
  OrderCancelled: (counts, { data: { was } }) => ({ ...counts, [was]: counts[was] - 1, cancelled: counts.cancelled + 1 }),
})
