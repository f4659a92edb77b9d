import { defineHandler } from 'headwater'
import { OrderCancelled, OrderConfirmed } from '../orders/events.ts'
import type { Bank } from './bank.ts'
import { PaymentFailed, PaymentReceived, PaymentRefunded } from './events.ts'

/**
 * Charges confirmed orders, refunds those that are cancelled all the same. A bank is outside: it may be asked twice about the same event, when its
 * answer was lost or the process died. The key, the same each time, makes sure that it acts once.
 */
export const chargeWith = (bank: Bank) =>
  defineHandler(
    'payments',
    {
      on: [OrderConfirmed, OrderCancelled],
      emits: [PaymentReceived, PaymentFailed, PaymentRefunded],
      retry: { firstMs: 20, maxMs: 5_000 },
    },
    async (event, { emit, idempotencyKey }) => {
      const { orderId } = event.data
      if (event.type === 'OrderConfirmed') {
        const amount = event.data.total
        const { paymentId, declined } = await bank.charge({ orderId, amount, idempotencyKey })
        if (declined === undefined) emit(PaymentReceived({ orderId, amount, paymentId }))
        else emit(PaymentFailed({ orderId, amount, reason: declined }))
      } else {
        const refund = await bank.refund({ orderId, idempotencyKey })
        if (refund) emit(PaymentRefunded({ orderId, ...refund }))
      }
    },
  )
