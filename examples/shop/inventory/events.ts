import { z } from 'zod'
import { defineEvent } from 'headwater'

export const linesSchema = z.array(z.object({ sku: z.string(), quantity: z.int().positive() })).readonly()
export type Lines = z.infer<typeof linesSchema>

const ofOrder = z.object({ orderId: z.string(), lines: linesSchema })

export const StockReceived = defineEvent('StockReceived', z.object({ lines: linesSchema }))
/** Everything that the order needs is put aside. */
export const StockReserved = defineEvent('StockReserved', ofOrder)
/** Nothing is put aside for the order, since there is not enough of this product. */
export const OutOfStock = defineEvent('OutOfStock', z.object({ orderId: z.string(), sku: z.string() }))
export const StockReleased = defineEvent('StockReleased', ofOrder)
export const StockDispatched = defineEvent('StockDispatched', ofOrder)
