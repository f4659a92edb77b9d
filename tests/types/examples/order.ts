import { defineAggregate, reject } from 'headwater'
import type { RecordedEvent, StateOf } from 'headwater'
import type { Equal } from '../equal.ts'
import { is } from '../equal.ts'
import { OrderPaid, OrderPlaced, OrderShipped, PayOrder, PlaceOrder, ShipOrder } from './messages.ts'

// The state's type is the only annotation: everything below follows from it and from the messages.
export type Order =
  | { status: 'none' }
  | { status: 'placed'; total: number }
  | { status: 'paid'; total: number; paymentId: string }
  | { status: 'shipped' }

export const order = defineAggregate('order', { id: 'orderId', initialState: (): Order => ({ status: 'none' }) })
  .evolve(
    { OrderPlaced, OrderPaid, OrderShipped },
    {
      OrderPlaced: (state, event) => {
        is<Equal<typeof state, Order>>()
        is<Equal<typeof event, RecordedEvent<'OrderPlaced', { orderId: string; total: number; currency: string }>>>()
        return { status: 'placed', total: event.data.total }
      },
      OrderPaid: (state, { data }) => (state.status === 'placed' ? { ...state, status: 'paid', paymentId: data.paymentId } : state),
      OrderShipped: () => ({ status: 'shipped' }),
    },
  )
  .decide(
    { PlaceOrder, PayOrder, ShipOrder },
    {
      PlaceOrder: (state, { data }) => (state.status === 'none' ? OrderPlaced({ ...data, currency: 'EUR' }) : reject('order-exists')),
      PayOrder: (state, { data, correlationId }) => {
        is<Equal<typeof state, Order>>()
        is<Equal<typeof data, { orderId: string; paymentId: string }>>()
        if (state.status === 'placed') return [OrderPaid(data, { metadata: { correlationId } })]
        return state.status === 'none' ? reject('not-placed') : reject('already-paid', 'it has been paid before')
      },
      ShipOrder: (state, { data }) => (state.status === 'paid' ? [OrderShipped(data)] : []),
    },
  )

is<Equal<StateOf<typeof order>, Order>>()

// Functions may stand elsewhere; then they say their types themselves. What they need no more of the event than they read.
const onPaid = (state: Order, event: RecordedEvent<'OrderPaid', { orderId: string }>): Order =>
  event.position > 0 ? { status: 'shipped' } : state
export const extracted = defineAggregate('order', { id: 'orderId', initialState: (): Order => ({ status: 'none' }) }).evolve(
  { OrderPaid, OrderShipped },
  {
    OrderPaid: onPaid,
    OrderShipped: () => {
      throw new Error('never')
    },
  },
)
