import { defineHandler } from 'headwater'
import { OrderCancelled, OrderPlaced, OrderShipped } from '../orders/events.ts'
import type { Item } from '../orders/events.ts'
import { GoodsDelivered } from '../suppliers/events.ts'
import type { Lines } from './events.ts'
import { DispatchStock, ReceiveStock, ReleaseStock, ReserveStock } from './stock.ts'

export const warehouse = 'main'

/**
 * One handler for all of them, so that it hears of an order's events in their order (a reservation is never released before it was made), and so that
 * nobody else writes to the warehouse's stream.
 */
export const keepStock = defineHandler(
  'inventory',
  { on: [GoodsDelivered, OrderPlaced, OrderCancelled, OrderShipped], sends: [ReceiveStock, ReserveStock, ReleaseStock, DispatchStock] },
  async (event, { send }) => {
    switch (event.type) {
      case 'GoodsDelivered':
        await send(ReceiveStock, { warehouse, lines: event.data.lines })
        break
      case 'OrderPlaced':
        await send(ReserveStock, { warehouse, orderId: event.data.orderId, lines: linesOf(event.data.items) })
        break
      case 'OrderCancelled':
        await send(ReleaseStock, { warehouse, orderId: event.data.orderId })
        break
      case 'OrderShipped':
        await send(DispatchStock, { warehouse, orderId: event.data.orderId })
        break
    }
  },
)

/** One line a product, though an order may name it twice. */
function linesOf(items: readonly Item[]): Lines {
  const quantities = new Map<string, number>()
  for (const { sku, quantity } of items) quantities.set(sku, (quantities.get(sku) ?? 0) + quantity)
  return [...quantities].map(([sku, quantity]) => ({ sku, quantity }))
}
