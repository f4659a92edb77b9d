import { defineEvent, defineProjection, defineQuery } from 'headwater'
import { z } from 'zod'
import { OrderPaid, OrderPlaced, OrderShipped } from '../examples/messages.ts'
import { orderSummary } from '../examples/shop.ts'
import type { OrderSummary } from '../examples/shop.ts'

const start = defineProjection('p', (orderId): OrderSummary => ({ orderId, total: 0, status: 'new' }))

// Index and search.
// expect TS2345: Argument of type '"stauts"' is not assignable to parameter of type 'IndexableField<OrderSummary>'.
export const misspeltIndex = start.index('stauts')
// expect TS2345: Argument of type '"tags"' is not assignable to parameter of type 'never'.
export const indexOfList = defineProjection('p', (): { tags: string[] } => ({ tags: [] })).index('tags')
// expect TS2345: Argument of type '"total"' is not assignable to parameter of type 'TextField<OrderSummary>'.
export const searchOfNumber = start.search('total')

// Fold.
// expect TS2345: Property 'OrderShipped' is missing
export const missingFold = start.fold({ OrderPaid, OrderShipped }, (event) => event.data.orderId, { OrderPaid: (doc) => doc })
// expect TS2561: Did you mean to write 'OrderPaid'?
// expect TS7006: Parameter 'doc' implicitly has an 'any' type.
export const misspeltFold = start.fold({ OrderPaid }, (event) => event.data.orderId, { OrderPayed: (doc) => doc })
export const noReturn = start.fold({ OrderPaid }, (event) => event.data.orderId, {
  // expect TS2322: Type 'void' is not assignable to type 'OrderSummary | null'.
  OrderPaid: (doc) => {
    doc.status = 'paid'
  },
})
export const wrongField = start.fold({ OrderPlaced }, (event) => event.data.orderId, {
  // expect TS2322: Type 'string' is not assignable to type 'number'.
  OrderPlaced: (doc, { data }) => ({ ...doc, total: data.currency }),
})
export const extraField = start.fold({ OrderPlaced }, (event) => event.data.orderId, {
  // expect TS2322: not a field of the result: totl
  OrderPlaced: (doc, { data }) => ({ ...doc, totl: data.total }),
})
const Renamed = defineEvent('Renamed', z.object({ customerId: z.string() }))
// expect TS2339: Property 'orderId' does not exist on type '{ customerId: string; }'.
export const keyMissing = start.fold({ OrderPaid, Renamed }, (event) => event.data.orderId, {
  OrderPaid: (doc) => doc,
  Renamed: (doc) => doc,
})
// expect TS2322: Type 'number' is not assignable to type 'string | readonly string[]'.
export const keyIsNoText = start.fold({ OrderPlaced }, (event) => event.data.total, { OrderPlaced: (doc) => doc })
// expect TS2322: the key must be the name of the message: OrderPaid
export const otherName = start.fold({ Paid: OrderPaid }, (event) => event.data.orderId, { Paid: (doc) => doc })

// Queries.
// expect TS2353: 'orderId' does not exist in type 'Pick<Where<OrderSummary>, "status" | "total">'.
export const notIndexed = defineQuery('Q', z.object({}), orderSummary, (_params, docs) => docs.find({ where: { orderId: 'x' } }))
// expect TS2353: 'orderId' does not exist in type '{ readonly status?: "ascending" | "descending"
export const notSortable = defineQuery('Q', z.object({}), orderSummary, (_params, docs) => docs.find({ sort: { orderId: 'ascending' } }))
// expect TS2322: Type '"payed"' is not assignable to type '"new" | "paid" | "placed" | "shipped"
export const wrongValue = defineQuery('Q', z.object({}), orderSummary, (_params, docs) => docs.find({ where: { status: 'payed' } }))
// expect TS2322: Type 'string' is not assignable to type 'number'.
export const wrongRange = defineQuery('Q', z.object({}), orderSummary, (_params, docs) => docs.find({ where: { total: { from: '10' } } }))
// expect TS2322: Type 'string' is not assignable to type 'undefined'.
export const notSearchable = defineQuery('Q', z.object({}), start.index('total'), (_params, docs) => docs.find({ search: 'x' }))
// expect TS2339: Property 'orderId' does not exist on type '{ id: string; }'.
export const misreadParams = defineQuery('Q', z.object({ id: z.string() }), orderSummary, (params, docs) => docs.get(params.orderId))
export const misreadDocument = defineQuery(
  'Q',
  z.object({ id: z.string() }),
  orderSummary,
  // expect TS2551: Property 'totl' does not exist on type 'OrderSummary'. Did you mean 'total'?
  async ({ id }, docs) => (await docs.get(id))?.totl,
)
// expect TS2322: Type 'number' is not assignable to type 'Promise<unknown>'.
export const notAwaited = defineQuery('Q', z.object({}), orderSummary, () => 7)
