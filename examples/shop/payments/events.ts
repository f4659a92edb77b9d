import { z } from 'zod'
import { defineEvent, defineTopic } from 'headwater'

const amount = z.object({ orderId: z.string(), amount: z.int() })

export const PaymentReceived = defineEvent('PaymentReceived', amount.extend({ paymentId: z.string() }))
export const PaymentFailed = defineEvent('PaymentFailed', amount.extend({ reason: z.string() }))
export const PaymentRefunded = defineEvent('PaymentRefunded', amount.extend({ paymentId: z.string() }))

export const paymentTopic = defineTopic('payments', { events: [PaymentReceived, PaymentFailed, PaymentRefunded], partitions: 4 })
