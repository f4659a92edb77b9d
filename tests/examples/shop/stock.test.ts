import { expect, test } from 'vitest'
import { given, stateAfter } from 'headwater/testing'
import { OutOfStock, StockDispatched, StockReceived, StockReleased, StockReserved } from '../../../examples/shop/inventory/events.ts'
import { stock } from '../../../examples/shop/inventory/stock.ts'

const warehouse = 'main'
const order = { warehouse, orderId: 'o-1' }
const lines = [
  { sku: 'tea', quantity: 2 },
  { sku: 'mug', quantity: 1 },
]
const received = [
  StockReceived({
    lines: [
      { sku: 'tea', quantity: 3 },
      { sku: 'mug', quantity: 1 },
    ],
  }),
]
const reserved = [...received, StockReserved({ orderId: 'o-1', lines })]

test('everything that an order needs is reserved', () => {
  expect(given(stock, received).when('ReserveStock', { ...order, lines })).toEqual(reserved.at(-1))
  expect(stateAfter(stock, reserved)).toEqual({ available: { tea: 1, mug: 0 }, reserved: { 'o-1': lines } })
})

test('or nothing of it', () => {
  const second = { warehouse, orderId: 'o-2' }
  expect(given(stock, reserved).when('ReserveStock', { ...second, lines })).toEqual(OutOfStock({ orderId: 'o-2', sku: 'tea' }))
  expect(given(stock).when('ReserveStock', { ...second, lines })).toEqual(OutOfStock({ orderId: 'o-2', sku: 'tea' }))
  expect(stateAfter(stock, [...reserved, OutOfStock({ orderId: 'o-2', sku: 'tea' })])).toEqual(stateAfter(stock, reserved))
})

test('what is released can be sold again', () => {
  expect(given(stock, reserved).when('ReleaseStock', order)).toEqual(StockReleased({ orderId: 'o-1', lines }))
  expect(stateAfter(stock, [...reserved, StockReleased({ orderId: 'o-1', lines })])).toEqual(stateAfter(stock, received))
})

test('what is dispatched is gone', () => {
  expect(given(stock, reserved).when('DispatchStock', order)).toEqual(StockDispatched({ orderId: 'o-1', lines }))
  expect(stateAfter(stock, [...reserved, StockDispatched({ orderId: 'o-1', lines })])).toEqual({
    available: { tea: 1, mug: 0 },
    reserved: {},
  })
})

test('an order without a reservation has nothing to give back', () => {
  const dispatched = [...reserved, StockDispatched({ orderId: 'o-1', lines })]
  for (const history of [received, dispatched]) {
    expect(given(stock, history).when('ReleaseStock', order)).toEqual([])
    expect(given(stock, history).when('DispatchStock', order)).toEqual([])
  }
})
