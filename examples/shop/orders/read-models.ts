import { defineProjection } from 'headwater'
import { ItemAdded, ItemRemoved, OrderCancelled, OrderConfirmed, OrderPaid, OrderPlaced, OrderShipped } from './events.ts'
import type { Item } from './events.ts'

type Status = 'basket' | 'placed' | 'confirmed' | 'paid' | 'shipped' | 'cancelled'

export interface OrderSummary {
  orderId: string
  status: Status
  customerId: string
  customerName: string
  items: readonly Item[]
  products: readonly string[]
  total: number
  placedAt: string | null
  cancelledBecause: string | null
}

export const orderSummary = defineProjection('order-summary', (orderId): OrderSummary => ({
  orderId,
  status: 'basket',
  customerId: '',
  customerName: '',
  items: [],
  products: [],
  total: 0,
  placedAt: null,
  cancelledBecause: null,
}))
  .index('status', 'placedAt')
  .search('customerName', 'products')
  .fold({ ItemAdded, ItemRemoved, OrderPlaced, OrderConfirmed, OrderPaid, OrderShipped, OrderCancelled }, ({ data }) => data.orderId, {
    ItemAdded: (order, { data }) => ({ ...order, items: [...order.items, data.item] }),
    ItemRemoved: (order, { data }) => ({ ...order, items: order.items.filter(({ sku }) => sku !== data.sku) }),
    OrderPlaced: (order, { data, time }) => ({
      ...order,
      ...data,
      status: 'placed',
      products: data.items.map(({ name }) => name),
      placedAt: time.toISOString(),
    }),
    OrderConfirmed: (order) => ({ ...order, status: 'confirmed' }),
    OrderPaid: (order) => ({ ...order, status: 'paid' }),
    OrderShipped: (order) => ({ ...order, status: 'shipped' }),
    OrderCancelled: (order, { data }) => ({ ...order, status: 'cancelled', cancelledBecause: data.reason }),
  })

export interface CustomerOrders {
  customerId: string
  name: string
  placed: number
  /** The latest 50, newest first. */
  latest: readonly { orderId: string; status: Status; total: number; placedAt: string }[]
}

export const customerOrders = defineProjection('customer-orders', (customerId): CustomerOrders => ({
  customerId,
  name: '',
  placed: 0,
  latest: [],
})).fold({ OrderPlaced, OrderConfirmed, OrderPaid, OrderShipped, OrderCancelled }, ({ data }) => data.customerId, {
  OrderPlaced: (customer, { data: { orderId, customerName, total }, time }) => ({
    ...customer,
    name: customerName,
    placed: customer.placed + 1,
    latest: [{ orderId, status: 'placed' as const, total, placedAt: time.toISOString() }, ...customer.latest].slice(0, 50),
  }),
  OrderConfirmed: (customer, { data }) => withStatus(customer, data.orderId, 'confirmed'),
  OrderPaid: (customer, { data }) => withStatus(customer, data.orderId, 'paid'),
  OrderShipped: (customer, { data }) => withStatus(customer, data.orderId, 'shipped'),
  OrderCancelled: (customer, { data }) => withStatus(customer, data.orderId, 'cancelled'),
})

function withStatus(customer: CustomerOrders, orderId: string, status: Status): CustomerOrders {
  return { ...customer, latest: customer.latest.map((order) => (order.orderId === orderId ? { ...order, status } : order)) }
}
