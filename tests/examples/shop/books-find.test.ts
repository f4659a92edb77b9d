import { silentLog } from 'headwater'
import type { NewEvent } from 'headwater'
import { sqlite } from 'headwater/sqlite'
import { expect, onTestFinished, test } from 'vitest'
import { settle } from '../../../examples/shop/demo/batch.ts'
import { checkBooks } from '../../../examples/shop/demo/books.ts'
import { StockReceived } from '../../../examples/shop/inventory/events.ts'
import { MessageSent } from '../../../examples/shop/notifications/events.ts'
import { AddItem, PlaceOrder } from '../../../examples/shop/orders/commands.ts'
import { OrderPlaced } from '../../../examples/shop/orders/events.ts'
import { Bank } from '../../../examples/shop/payments/bank.ts'
import { PaymentReceived } from '../../../examples/shop/payments/events.ts'
import { openShop } from '../../../examples/shop/shop.ts'
import type { Shop } from '../../../examples/shop/shop.ts'
import { GoodsDelivered } from '../../../examples/shop/suppliers/events.ts'

const mug = { sku: 'mug', name: 'Blue mug', unitPrice: 1_600 }
const customer = { customerId: 'ada', customerName: 'Ada' }

/** A shop in which two orders were cancelled, since there was one mug only. */
async function openedShop(): Promise<{ readonly app: Shop; readonly bank: Bank }> {
  const bank = new Bank({ path: ':memory:' })
  const app = await openShop({ bank, storage: sqlite(':memory:') }, { log: silentLog })
  onTestFinished(async () => {
    await app.stop()
    bank[Symbol.dispose]()
  })
  await app.store.append('supplier:acme', GoodsDelivered({ lines: [{ sku: 'mug', quantity: 1 }] }))
  for (const [orderId, quantity] of [
    ['o-1', 2],
    ['o-2', 3],
  ] as const) {
    await app.send(AddItem, { orderId, item: { ...mug, quantity } })
    await app.send(PlaceOrder, { orderId, ...customer })
  }
  await settle(app, AbortSignal.timeout(10_000))
  return { app, bank }
}

async function claimsThatFail({ app, bank }: { readonly app: Shop; readonly bank: Bank }): Promise<readonly string[]> {
  return (await checkBooks(app, bank)).filter(({ wrong }) => wrong.length > 0).map(({ claim }) => claim)
}

test('books without a mistake', async () => {
  expect(await claimsThatFail(await openedShop())).toEqual([])
})

const mistakes: readonly (readonly [string, NewEvent, readonly string[]])[] = [
  [
    'money that nobody owed',
    PaymentReceived({ orderId: 'o-1', amount: 1, paymentId: 'p-1' }),
    ['everybody has paid once for what they got', "the bank's ledger says the same"],
  ],
  ['goods that are nowhere', StockReceived({ lines: [{ sku: 'mug', quantity: 1 }] }), ['no piece is lost']],
  [
    'a message too many',
    MessageSent({ orderId: 'o-1', customerId: 'ada', text: 'Hello?' }),
    ['each customer was told twice about an order'],
  ],
]

test.each(mistakes)('%s', async (_name, event, claims) => {
  const shop = await openedShop()
  await shop.app.store.append('mistake:1', event)
  expect(await claimsThatFail(shop)).toEqual(expect.arrayContaining([...claims]))
})

test('an order that is stuck', async () => {
  const shop = await openedShop()
  // It has no basket behind it, so that nothing that the services say moves it on.
  await shop.app.store.append('mistake:1', OrderPlaced({ orderId: 'o-3', ...customer, items: [{ ...mug, quantity: 1 }], total: 1_600 }))
  expect(await claimsThatFail(shop)).toContain('every order is shipped or cancelled')
})

test('a document that is not what the log makes of it', async () => {
  const shop = await openedShop()
  const [collection] = await shop.app.store.driver.documents.list('customer-orders')
  const document = { collection: collection!.id, key: 'nobody', document: '{}', fields: [], words: null }
  await shop.app.store.commit({ appends: [], documents: [document] })
  expect(await claimsThatFail(shop)).toEqual(['the read models are what the log makes of them'])
})
