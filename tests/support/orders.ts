import { z } from 'zod'
import { defineAggregate } from '../../src/aggregate/aggregate.ts'
import { defineCommand, reject } from '../../src/message/command.ts'
import { defineEvent } from '../../src/message/event.ts'
import { defineProjection } from '../../src/projection/projection.ts'
import { defineQuery } from '../../src/projection/query.ts'

/** A small domain for tests: orders that are placed, changed, paid and shipped. */
export const OrderPlaced = defineEvent('OrderPlaced', z.object({ orderId: z.string(), customer: z.string(), total: z.number() }))
export const NoteAdded = defineEvent('NoteAdded', z.object({ orderId: z.string(), note: z.string() }))
export const OrderPaid = defineEvent('OrderPaid', z.object({ orderId: z.string(), paymentId: z.string() }))
export const OrderShipped = defineEvent('OrderShipped', z.object({ orderId: z.string() }))
export const StockReserved = defineEvent('StockReserved', z.object({ orderId: z.string(), key: z.string() }))

export const PlaceOrder = defineCommand('PlaceOrder', z.object({ orderId: z.string(), customer: z.string(), total: z.number() }), {
  rejections: ['order-exists'],
})
export const AddNote = defineCommand('AddNote', z.object({ orderId: z.string(), note: z.string() }))
export const PayOrder = defineCommand('PayOrder', z.object({ orderId: z.string(), paymentId: z.string() }), {
  rejections: ['not-placed', 'already-paid'],
})
export const ShipOrder = defineCommand('ShipOrder', z.object({ orderId: z.string() }))

export interface Order {
  status: 'none' | 'placed' | 'paid' | 'shipped'
  total: number
  notes: readonly string[]
}

export const order = defineAggregate('order', {
  id: 'orderId',
  initialState: (): Order => ({ status: 'none', total: 0, notes: [] }),
  snapshot: { every: 10 },
})
  .evolve(
    { OrderPlaced, NoteAdded, OrderPaid, OrderShipped },
    {
      OrderPlaced: (state, { data }) => ({ ...state, status: 'placed', total: data.total }),
      NoteAdded: (state, { data }) => ({ ...state, notes: [...state.notes, data.note] }),
      OrderPaid: (state) => ({ ...state, status: 'paid' }),
      OrderShipped: (state) => ({ ...state, status: 'shipped' }),
    },
  )
  .decide(
    { PlaceOrder, AddNote, PayOrder, ShipOrder },
    {
      PlaceOrder: (state, { data }) => (state.status === 'none' ? OrderPlaced(data) : reject('order-exists')),
      AddNote: (_state, { data }) => NoteAdded(data),
      PayOrder: (state, { data }) => {
        if (state.status === 'placed') return [OrderPaid(data)]
        return reject(state.status === 'none' ? 'not-placed' : 'already-paid')
      },
      ShipOrder: (state, { data }) => (state.status === 'paid' ? [OrderShipped(data)] : []),
    },
  )

export interface OrderSummary {
  orderId: string
  customer: string
  total: number
  status: 'new' | 'placed' | 'paid'
}

export const orderSummary = defineProjection('order-summary', (orderId): OrderSummary => ({
  orderId,
  customer: '',
  total: 0,
  status: 'new',
}))
  .index('status', 'total')
  .search('customer')
  .fold({ OrderPlaced, OrderPaid, OrderShipped }, (event) => event.data.orderId, {
    OrderPlaced: (document, { data }) => ({ ...document, status: 'placed', total: data.total, customer: data.customer }),
    OrderPaid: (document) => ({ ...document, status: 'paid' }),
    OrderShipped: () => null,
  })

export const orderById = defineQuery('OrderById', z.object({ orderId: z.string() }), orderSummary, ({ orderId }, documents) =>
  documents.get(orderId),
)
export const ordersByStatus = defineQuery(
  'OrdersByStatus',
  z.object({ status: z.enum(['placed', 'paid']) }),
  orderSummary,
  ({ status }, documents) => documents.find({ where: { status }, sort: { total: 'descending' } }),
)
