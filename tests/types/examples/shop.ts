import { accepted, defineHandler, defineProjection, defineQuery, defineService, start } from 'headwater'
import type { Accepted, Rejected, Storage } from 'headwater'
import { z } from 'zod'
import type { Equal } from '../equal.ts'
import { is } from '../equal.ts'
import { OrderPaid, OrderPlaced, OrderShipped, OutOfStock, PayOrder, PlaceOrder, ShipOrder, StockReserved } from './messages.ts'
import { order } from './order.ts'
import type { Order } from './order.ts'

export const reserveStock = defineHandler('reserve-stock', { on: OrderPlaced, emits: [StockReserved, OutOfStock] }, async (event, ctx) => {
  if (event.data.total > 1000) ctx.emit(OutOfStock({ orderId: event.data.orderId }))
  else ctx.emit(StockReserved({ orderId: event.data.orderId, reservationId: ctx.idempotencyKey }))
})
export const shipAtOnce = defineHandler(
  'ship-at-once',
  { on: [OrderPlaced, OrderPaid], sends: [ShipOrder, PayOrder] },
  async (event, ctx) => {
    if (event.type === 'OrderPlaced') return
    const shipped = await ctx.send(ShipOrder, { orderId: event.data.orderId, carrier: 'post' })
    is<Equal<typeof shipped, Accepted>>()
    const paid = await ctx.send(PayOrder, { orderId: event.data.orderId, paymentId: event.data.paymentId })
    is<Equal<typeof paid, Accepted | Rejected<'not-placed' | 'already-paid'>>>()
  },
)

export interface OrderSummary {
  orderId: string
  total: number
  status: 'new' | 'placed' | 'paid' | 'shipped'
}
export const orderSummary = defineProjection('order-summary', (orderId): OrderSummary => ({ orderId, total: 0, status: 'new' }))
  .index('status', 'total')
  .search('orderId')
  .fold({ OrderPlaced, OrderPaid, OrderShipped }, (event) => event.data.orderId, {
    OrderPlaced: (doc, { data }) => ({ ...doc, status: 'placed', total: data.total }),
    OrderPaid: (doc) => ({ ...doc, status: 'paid' }),
    OrderShipped: () => null,
  })
  .fold({ OutOfStock }, ({ data }) => [data.orderId], { OutOfStock: (doc) => ({ ...doc, total: 0 }) })
export const orderById = defineQuery('OrderById', z.object({ orderId: z.string() }), orderSummary, ({ orderId }, orders) =>
  orders.get(orderId),
)
export const paidOrders = defineQuery('PaidOrders', z.object({ limit: z.number().optional() }), orderSummary, ({ limit }, orders) =>
  orders.find({ where: { status: 'paid', total: { from: 10 } }, sort: { total: 'descending' }, limit: limit ?? 20 }),
)
export const searchOrders = defineQuery('SearchOrders', z.object({ text: z.string() }), orderSummary, ({ text }, orders) =>
  orders.page({ search: text, where: { status: { in: ['placed', 'paid'] }, total: { in: [1, 2] } } }),
)

export const orders = defineService('orders', {
  aggregates: [order],
  handlers: [reserveStock, shipAtOnce],
  projections: [orderSummary],
  queries: [orderById, paidOrders, searchOrders],
})

declare const storage: Storage

export async function run(): Promise<string | undefined> {
  await using app = await start(orders, { storage })
  const placed = accepted(await app.send(PlaceOrder, { orderId: 'o-1', total: 12 }))
  const summary = await app.query(orderById, { orderId: 'o-1' }, { atLeast: placed.position })
  is<Equal<typeof summary, OrderSummary | undefined>>()
  for await (const paid of app.watch(paidOrders, { limit: 3 })) {
    is<Equal<typeof paid, readonly OrderSummary[]>>()
    break
  }
  const state = await app.state(order, 'o-1', { version: 1 })
  is<Equal<typeof state, Order>>()
  const some = await app.documents(orderSummary).find({ where: { status: 'paid' }, search: 'o' })
  is<Equal<typeof some, readonly OrderSummary[]>>()

  // A command without rejections needs no look at its outcome, one with them does, and then the codes are known.
  const shipped = await app.send(ShipOrder, { orderId: 'o-1', carrier: 'post' })
  is<Equal<typeof shipped, Accepted>>()
  const paid = await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p-1' })
  if (paid.ok) return String(paid.position)
  switch (paid.code) {
    case 'not-placed':
    case 'already-paid':
      return paid.code
  }
}
