import { defineHandler } from 'headwater'
import { OutOfStock, StockReserved } from '../inventory/events.ts'
import { PaymentFailed, PaymentReceived } from '../payments/events.ts'
import { CancelOrder, ConfirmOrder, PayOrder } from './commands.ts'

/**
 * What the other services say moves an order on. A rejection is an answer, not a failure: the customer has cancelled meanwhile, and whoever
 * hears of that gives back what it holds.
 */
export const followOrders = defineHandler(
  'orders',
  {
    on: [StockReserved, OutOfStock, PaymentReceived, PaymentFailed],
    sends: [ConfirmOrder, PayOrder, CancelOrder],
    // Not by the stream, since that of the stock is one for all orders.
    key: ({ data }) => data.orderId,
  },
  async (event, { send }) => {
    const { orderId } = event.data
    switch (event.type) {
      case 'StockReserved':
        await send(ConfirmOrder, { orderId })
        break
      case 'OutOfStock':
        await send(CancelOrder, { orderId, reason: `${event.data.sku} is out of stock` })
        break
      case 'PaymentReceived':
        await send(PayOrder, { orderId, paymentId: event.data.paymentId })
        break
      case 'PaymentFailed':
        await send(CancelOrder, { orderId, reason: event.data.reason })
        break
    }
  },
)
