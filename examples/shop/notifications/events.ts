import { z } from 'zod'
import { defineEvent } from 'headwater'

export const MessageSent = defineEvent('MessageSent', z.object({ orderId: z.string(), customerId: z.string(), text: z.string() }))
