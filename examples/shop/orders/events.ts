import { z } from 'zod'
import { defineEvent, defineTopic } from 'headwater'

/** One line of an order. Prices are whole cents. */
export const item = z.object({
  sku: z.string(),
  name: z.string(),
  unitPrice: z.int().nonnegative(),
  quantity: z.int().positive(),
})
export type Item = z.infer<typeof item>

const order = z.object({ orderId: z.string(), customerId: z.string() })

export const ItemAdded = defineEvent('ItemAdded', z.object({ orderId: z.string(), item }))
export const ItemRemoved = defineEvent('ItemRemoved', z.object({ orderId: z.string(), sku: z.string() }))
export const OrderPlaced = defineEvent(
  'OrderPlaced',
  order.extend({ customerName: z.string(), items: z.array(item).readonly(), total: z.int() }),
)
/** The goods are there; now it may be paid. */
export const OrderConfirmed = defineEvent('OrderConfirmed', order.extend({ total: z.int() }))
export const OrderPaid = defineEvent('OrderPaid', order.extend({ total: z.int(), paymentId: z.string() }))
export const OrderShipped = defineEvent('OrderShipped', order.extend({ total: z.int() }))
/** `was`: how far the order had come. */
export const OrderCancelled = defineEvent(
  'OrderCancelled',
  order.extend({ reason: z.string(), was: z.enum(['placed', 'confirmed', 'paid']) }),
)

/** What others may know of orders; what lies in a basket is nobody's business. The key is the order, as it is that of the stream. */
export const orderTopic = defineTopic('orders', {
  events: [OrderPlaced, OrderConfirmed, OrderPaid, OrderShipped, OrderCancelled],
  partitions: 4,
})
