import { defineAggregate, reject } from 'headwater'
import { AddItem, CancelOrder, ConfirmOrder, PayOrder, PlaceOrder, RemoveItem, ShipOrder } from './commands.ts'
import { ItemAdded, ItemRemoved, OrderCancelled, OrderConfirmed, OrderPaid, OrderPlaced, OrderShipped } from './events.ts'
import type { Item } from './events.ts'

interface Order {
  status: 'basket' | 'placed' | 'confirmed' | 'paid' | 'shipped' | 'cancelled'
  customerId: string
  items: readonly Item[]
  total: number
}

export const order = defineAggregate('order', {
  id: 'orderId',
  initialState: (): Order => ({ status: 'basket', customerId: '', items: [], total: 0 }),
})
  .evolve(
    { ItemAdded, ItemRemoved, OrderPlaced, OrderConfirmed, OrderPaid, OrderShipped, OrderCancelled },
    {
      ItemAdded: (state, { data }) => ({ ...state, items: [...state.items, data.item] }),
      ItemRemoved: (state, { data }) => ({ ...state, items: state.items.filter(({ sku }) => sku !== data.sku) }),
      OrderPlaced: (state, { data }) => ({ ...state, status: 'placed', customerId: data.customerId, total: data.total }),
      OrderConfirmed: (state) => ({ ...state, status: 'confirmed' }),
      OrderPaid: (state) => ({ ...state, status: 'paid' }),
      OrderShipped: (state) => ({ ...state, status: 'shipped' }),
      OrderCancelled: (state) => ({ ...state, status: 'cancelled' }),
    },
  )
  .decide(
    { AddItem, RemoveItem, PlaceOrder, ConfirmOrder, PayOrder, ShipOrder, CancelOrder },
    {
      AddItem: ({ status }, { data }) => (status === 'basket' ? ItemAdded(data) : reject('already-placed')),
      RemoveItem: ({ status, items }, { data }) => {
        if (status !== 'basket') return reject('already-placed')
        return items.some(({ sku }) => sku === data.sku) ? ItemRemoved(data) : reject('not-in-basket')
      },
      PlaceOrder: ({ status, items }, { data }) => {
        if (status !== 'basket') return reject('already-placed')
        return items.length > 0 ? OrderPlaced({ ...data, items, total: totalOf(items) }) : reject('basket-empty')
      },
      ConfirmOrder: ({ status, customerId, total }, { data }) =>
        status === 'placed' ? OrderConfirmed({ ...data, customerId, total }) : reject('not-placed'),
      PayOrder: ({ status, customerId, total }, { data }) =>
        status === 'confirmed' ? OrderPaid({ ...data, customerId, total }) : reject('not-confirmed'),
      ShipOrder: ({ status, customerId, total }, { data }) =>
        status === 'paid' ? OrderShipped({ ...data, customerId, total }) : reject('not-paid'),
      CancelOrder: ({ status, customerId }, { data }) => {
        if (status === 'basket') return reject('not-placed')
        if (status === 'shipped') return reject('already-shipped')
        return status === 'cancelled' ? [] : OrderCancelled({ ...data, customerId, was: status })
      },
    },
  )

function totalOf(items: readonly Item[]): number {
  return items.reduce((sum, { unitPrice, quantity }) => sum + unitPrice * quantity, 0)
}
