import { z } from 'zod'
import { defineAggregate, defineCommand } from 'headwater'
import { linesSchema, OutOfStock, StockDispatched, StockReceived, StockReleased, StockReserved } from './events.ts'
import type { Lines } from './events.ts'

const ofOrder = z.object({ warehouse: z.string(), orderId: z.string() })

export const ReceiveStock = defineCommand('ReceiveStock', z.object({ warehouse: z.string(), lines: linesSchema }))
export const ReserveStock = defineCommand('ReserveStock', ofOrder.extend({ lines: linesSchema }))
export const ReleaseStock = defineCommand('ReleaseStock', ofOrder)
export const DispatchStock = defineCommand('DispatchStock', ofOrder)

interface Stock {
  /** Pieces that nobody has reserved, by product. */
  available: Readonly<Record<string, number>>
  /** What is put aside, by order. */
  reserved: Readonly<Record<string, Lines>>
}

/** One stream a warehouse, so that the products of an order are reserved together or not at all. Snapshots keep it quick to load. */
export const stock = defineAggregate('stock', {
  id: 'warehouse',
  initialState: (): Stock => ({ available: {}, reserved: {} }),
  snapshot: { every: 25 },
})
  .evolve(
    { StockReceived, StockReserved, OutOfStock, StockReleased, StockDispatched },
    {
      StockReceived: (state, { data }) => ({ ...state, available: moved(state.available, data.lines, 1) }),
      StockReserved: (state, { data }) => ({
        available: moved(state.available, data.lines, -1),
        reserved: { ...state.reserved, [data.orderId]: data.lines },
      }),
      OutOfStock: (state) => state,
      StockReleased: (state, { data }) => ({
        available: moved(state.available, data.lines, 1),
        reserved: without(state.reserved, data.orderId),
      }),
      StockDispatched: (state, { data }) => ({ ...state, reserved: without(state.reserved, data.orderId) }),
    },
  )
  .decide(
    { ReceiveStock, ReserveStock, ReleaseStock, DispatchStock },
    {
      ReceiveStock: (_state, { data }) => StockReceived({ lines: data.lines }),
      ReserveStock: ({ available }, { data: { orderId, lines } }) => {
        const missing = lines.find(({ sku, quantity }) => (available[sku] ?? 0) < quantity)
        return missing ? OutOfStock({ orderId, sku: missing.sku }) : StockReserved({ orderId, lines })
      },
      // An order that was never reserved, or not any more, has nothing to give back.
      ReleaseStock: ({ reserved }, { data: { orderId } }) =>
        reserved[orderId] ? StockReleased({ orderId, lines: reserved[orderId] }) : [],
      DispatchStock: ({ reserved }, { data: { orderId } }) =>
        reserved[orderId] ? StockDispatched({ orderId, lines: reserved[orderId] }) : [],
    },
  )

function moved(available: Stock['available'], lines: Lines, sign: 1 | -1): Stock['available'] {
  return { ...available, ...Object.fromEntries(lines.map(({ sku, quantity }) => [sku, (available[sku] ?? 0) + sign * quantity])) }
}

function without(reserved: Stock['reserved'], orderId: string): Stock['reserved'] {
  const { [orderId]: _, ...others } = reserved
  return others
}
