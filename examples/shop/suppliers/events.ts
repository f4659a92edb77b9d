import { z } from 'zod'
import { defineEvent } from 'headwater'

/** A lorry has come. Suppliers are outside: they only tell. */
export const GoodsDelivered = defineEvent(
  'GoodsDelivered',
  z.object({ lines: z.array(z.object({ sku: z.string(), quantity: z.int().positive() })).readonly() }),
)
