import { defineCircuitBreaker, defineHandler } from 'headwater'
import { OrderCancelled, OrderConfirmed } from '../orders/events.ts'
import type { Bank } from './bank.ts'
import { PaymentFailed, PaymentReceived, PaymentRefunded } from './events.ts'

/** While the bank is out of service nobody asks it in vain: one request at a time finds out whether it is back. That it is slow is no reason to stop. */
const bankBreaker = defineCircuitBreaker('bank', { openMs: 1_000 })

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
      // Orders do not wait for each other: so many requests at a time, for each partition where the topic has several.
      concurrency: 64,
      breaker: bankBreaker,
      timeoutMs: 20_000,
      // About two minutes of a bank that fails, not counting the time for which the breaker is open.
      retry: { attempts: 50, firstMs: 20, maxMs: 5_000 },
    },
    async (event, { emit, idempotencyKey, signal }) => {
      const { orderId } = event.data
      if (event.type === 'OrderConfirmed') {
        const amount = event.data.total
        const { paymentId, declined } = await bank.charge({ orderId, amount, idempotencyKey, signal })
        if (declined === undefined) emit(PaymentReceived({ orderId, amount, paymentId }))
        else emit(PaymentFailed({ orderId, amount, reason: declined }))
      } else {
        const refund = await bank.refund({ orderId, idempotencyKey, signal })
        if (refund) emit(PaymentRefunded({ orderId, ...refund }))
      }
    },
  )
