import { z } from 'zod'
import { defineQuery } from 'headwater'
import { customerOrders, orderSummary } from './read-models.ts'
import { orderCounts, readyToShip } from './work-lists.ts'

export const orderById = defineQuery('OrderById', z.object({ orderId: z.string() }), orderSummary, ({ orderId }, orders) =>
  orders.get(orderId),
)

const statuses = z.enum(['basket', 'placed', 'confirmed', 'paid', 'shipped', 'cancelled'])

/** The newest first; `search` finds words of customers' and products' names, and beginnings of them. */
export const findOrders = defineQuery(
  'FindOrders',
  z.object({
    search: z.string().optional(),
    status: statuses.optional(),
    limit: z.int().min(1).max(100).optional(),
    after: z.string().optional(),
  }),
  orderSummary,
  ({ search, status, limit = 20, after }, orders) =>
    orders.page({
      sort: { placedAt: 'descending' },
      limit,
      ...(search && { search }),
      ...(status && { where: { status } }),
      ...(after && { after }),
    }),
)

export const ordersOfCustomer = defineQuery(
  'OrdersOfCustomer',
  z.object({ customerId: z.string() }),
  customerOrders,
  ({ customerId }, customers) => customers.get(customerId),
)

export const ordersReadyToShip = defineQuery(
  'OrdersReadyToShip',
  z.object({ limit: z.int().optional() }),
  readyToShip,
  ({ limit = 50 }, orders) => orders.find({ where: { ready: true }, limit }),
)

export const ordersByStatus = defineQuery('OrdersByStatus', z.object({}), orderCounts, async (_, counts) => await counts.get('all'))
