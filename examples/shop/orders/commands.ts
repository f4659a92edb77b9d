import { z } from 'zod'
import { defineCommand } from 'headwater'
import { item } from './events.ts'

const order = z.object({ orderId: z.string() })

export const AddItem = defineCommand('AddItem', order.extend({ item }), { rejections: ['already-placed'] })
export const RemoveItem = defineCommand('RemoveItem', order.extend({ sku: z.string() }), {
  rejections: ['already-placed', 'not-in-basket'],
})
export const PlaceOrder = defineCommand('PlaceOrder', order.extend({ customerId: z.string().min(1), customerName: z.string().min(1) }), {
  rejections: ['already-placed', 'basket-empty'],
})
export const ConfirmOrder = defineCommand('ConfirmOrder', order, { rejections: ['not-placed'] })
export const PayOrder = defineCommand('PayOrder', order.extend({ paymentId: z.string() }), { rejections: ['not-confirmed'] })
export const ShipOrder = defineCommand('ShipOrder', order, { rejections: ['not-paid'] })
export const CancelOrder = defineCommand('CancelOrder', order.extend({ reason: z.string() }), {
  rejections: ['not-placed', 'already-shipped'],
})
