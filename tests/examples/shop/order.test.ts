import { describe, expect, test } from 'vitest'
import { InvalidMessageError, reject } from 'headwater'
import { given, stateAfter } from 'headwater/testing'
import {
  ItemAdded,
  ItemRemoved,
  OrderCancelled,
  OrderConfirmed,
  OrderPaid,
  OrderPlaced,
  OrderShipped,
} from '../../../examples/shop/orders/events.ts'
import { order } from '../../../examples/shop/orders/order.ts'

const orderId = 'o-1'
const customerId = 'ada'
const tea = { sku: 'tea', name: 'Assam tea', unitPrice: 890, quantity: 2 }
const mug = { sku: 'mug', name: 'Blue mug', unitPrice: 1_600, quantity: 1 }
const total = 2 * 890 + 1_600

const filled = [ItemAdded({ orderId, item: tea }), ItemAdded({ orderId, item: mug })]
const placed = [...filled, OrderPlaced({ orderId, customerId, customerName: 'Ada', items: [tea, mug], total })]
const confirmed = [...placed, OrderConfirmed({ orderId, customerId, total })]
const paid = [...confirmed, OrderPaid({ orderId, customerId, total, paymentId: 'p-1' })]
const shipped = [...paid, OrderShipped({ orderId, customerId, total })]
const cancelled = [...placed, OrderCancelled({ orderId, customerId, reason: 'sold out', was: 'placed' })]

describe('a basket', () => {
  test('takes items, and gives them back', () => {
    expect(given(order).when('AddItem', { orderId, item: tea })).toEqual(ItemAdded({ orderId, item: tea }))
    expect(given(order, filled).when('RemoveItem', { orderId, sku: 'tea' })).toEqual(ItemRemoved({ orderId, sku: 'tea' }))
    expect(stateAfter(order, [...filled, ItemRemoved({ orderId, sku: 'tea' })]).items).toEqual([mug])
  })

  test('gives back only what is in it', () => {
    expect(given(order, filled).when('RemoveItem', { orderId, sku: 'cocoa' })).toEqual(reject('not-in-basket'))
  })

  test('takes no half items', () => {
    expect(() => given(order).when('AddItem', { orderId, item: { ...tea, quantity: 0.5 } })).toThrow(InvalidMessageError)
  })

  test('becomes an order with everything that is in it', () => {
    expect(given(order, filled).when('PlaceOrder', { orderId, customerId, customerName: 'Ada' })).toEqual(placed.at(-1))
  })

  test('that is empty becomes none', () => {
    const emptied = [ItemAdded({ orderId, item: tea }), ItemRemoved({ orderId, sku: 'tea' })]
    for (const history of [[], emptied])
      expect(given(order, history).when('PlaceOrder', { orderId, customerId, customerName: 'Ada' })).toEqual(reject('basket-empty'))
  })
})

describe('an order', () => {
  test('is changed no more once it is placed', () => {
    expect(given(order, placed).when('AddItem', { orderId, item: tea })).toEqual(reject('already-placed'))
    expect(given(order, placed).when('RemoveItem', { orderId, sku: 'tea' })).toEqual(reject('already-placed'))
    expect(given(order, placed).when('PlaceOrder', { orderId, customerId, customerName: 'Ada' })).toEqual(reject('already-placed'))
  })

  test('is confirmed, paid and shipped, in this order', () => {
    expect(given(order, placed).when('ConfirmOrder', { orderId })).toEqual(confirmed.at(-1))
    expect(given(order, confirmed).when('PayOrder', { orderId, paymentId: 'p-1' })).toEqual(paid.at(-1))
    expect(given(order, paid).when('ShipOrder', { orderId })).toEqual(shipped.at(-1))
  })

  test('takes no step before its time, and none twice', () => {
    for (const history of [filled, confirmed, shipped, cancelled])
      expect(given(order, history).when('ConfirmOrder', { orderId })).toEqual(reject('not-placed'))
    for (const history of [filled, placed, paid, shipped, cancelled])
      expect(given(order, history).when('PayOrder', { orderId, paymentId: 'p-1' })).toEqual(reject('not-confirmed'))
    for (const history of [filled, placed, confirmed, shipped, cancelled])
      expect(given(order, history).when('ShipOrder', { orderId })).toEqual(reject('not-paid'))
  })

  test('is cancelled at any time until it is shipped, and says how far it had come', () => {
    for (const [was, history] of Object.entries({ placed, confirmed, paid }))
      expect(given(order, history).when('CancelOrder', { orderId, reason: 'sorry' })).toEqual(
        OrderCancelled({ orderId, customerId, reason: 'sorry', was: was as 'placed' }),
      )
    expect(given(order, cancelled).when('CancelOrder', { orderId, reason: 'again' })).toEqual([])
    expect(given(order, shipped).when('CancelOrder', { orderId, reason: 'sorry' })).toEqual(reject('already-shipped'))
    expect(given(order, filled).when('CancelOrder', { orderId, reason: 'sorry' })).toEqual(reject('not-placed'))
  })
})
