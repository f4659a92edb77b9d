import { z } from 'zod'
import { defineEvent, defineTopic } from 'headwater'

export const linesSchema = z.array(z.object({ sku: z.string(), quantity: z.int().positive() })).readonly()
export type Lines = z.infer<typeof linesSchema>

const order = z.object({ orderId: z.string() })
const ofOrder = order.extend({ lines: linesSchema })

export const StockReceived = defineEvent('StockReceived', z.object({ lines: linesSchema }))
/** Everything that the order needs is put aside. */
export const StockReserved = defineEvent('StockReserved', ofOrder)
/** Nothing is put aside for the order, since there is not enough of this product. */
export const OutOfStock = defineEvent('OutOfStock', order.extend({ sku: z.string() }))
export const StockReleased = defineEvent('StockReleased', ofOrder)
export const StockDispatched = defineEvent('StockDispatched', ofOrder)

/** All of the warehouse is one stream, but what its events are about is orders: those of one are kept in order, and do not wait for each other. */
export const stockTopic = defineTopic('stock', {
  events: [StockReserved, OutOfStock, StockReleased, StockDispatched],
  key: ({ data }) => order.parse(data).orderId,
  partitions: 4,
})
