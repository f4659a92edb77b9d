import { defineCommand, defineEvent } from 'headwater'
import { z } from 'zod'

export const OrderPlaced = defineEvent('OrderPlaced', z.object({ orderId: z.string(), total: z.number() })).version(
  2,
  z.object({ orderId: z.string(), total: z.number(), currency: z.string() }),
  (v1) => ({ ...v1, currency: 'USD' }),
)
export const OrderPaid = defineEvent('OrderPaid', z.object({ orderId: z.string(), paymentId: z.string() }))
export const OrderShipped = defineEvent('OrderShipped', z.object({ orderId: z.string(), carrier: z.string() }))
export const StockReserved = defineEvent('StockReserved', z.object({ orderId: z.string(), reservationId: z.string() }))
export const OutOfStock = defineEvent('OutOfStock', z.object({ orderId: z.string() }))

export const PlaceOrder = defineCommand('PlaceOrder', z.object({ orderId: z.string(), total: z.number() }), {
  rejections: ['order-exists'],
})
export const PayOrder = defineCommand('PayOrder', z.object({ orderId: z.string(), paymentId: z.string() }), {
  rejections: ['not-placed', 'already-paid'],
})
export const ShipOrder = defineCommand('ShipOrder', z.object({ orderId: z.string(), carrier: z.string() }))
export const ReserveStock = defineCommand('ReserveStock', z.object({ orderId: z.string() }))
