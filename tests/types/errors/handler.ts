import { defineCommandHandler, defineHandler, reject } from 'headwater'
import {
  OrderPaid,
  OrderPlaced,
  OrderShipped,
  OutOfStock,
  PayOrder,
  PlaceOrder,
  ReserveStock,
  ShipOrder,
  StockReserved,
} from '../examples/messages.ts'

// Emitting.
export const undeclaredEmit = defineHandler('h', { on: OrderPlaced, emits: StockReserved }, (_event, ctx) => {
  // expect TS2345: Type '"OrderShipped"' is not assignable to type '"StockReserved"'.
  ctx.emit(OrderShipped({ orderId: 'x', carrier: 'y' }))
})
export const undeclaredAmongTwo = defineHandler('h', { on: OrderPlaced, emits: [StockReserved, OutOfStock] }, (_event, ctx) => {
  // expect TS2345: Type '"OrderShipped"' is not assignable to type '"OutOfStock"'.
  ctx.emit(OrderShipped({ orderId: 'x', carrier: 'y' }))
})
export const nothingDeclared = defineHandler('h', { on: OrderPlaced }, (_event, ctx) => {
  // expect TS2345: is not assignable to parameter of type '"this handler declares no `emits`"'
  ctx.emit(OrderShipped({ orderId: 'x', carrier: 'y' }))
})
export const byHand = defineHandler('h', { on: OrderPlaced, emits: OrderPaid }, (_event, ctx) => {
  // expect TS2322: Type 'number' is not assignable to type 'string'.
  ctx.emit({ type: 'OrderPaid', data: { orderId: 1, paymentId: 'p-1' } })
})

// Sending.
export const undeclaredSend = defineHandler('h', { on: OrderPlaced, sends: [PayOrder] }, async (_event, ctx) => {
  // expect TS2345: Type '"PlaceOrder"' is not assignable to type '"PayOrder"'.
  await ctx.send(PlaceOrder, { orderId: '', total: 2 })
})
export const wrongCommandData = defineHandler('h', { on: OrderPlaced, sends: PayOrder }, async (_event, ctx) => {
  // expect TS2322: Type 'number' is not assignable to type 'string'.
  await ctx.send(PayOrder, { orderId: 7, paymentId: 'p-1' })
})
export const rejectionUnread = defineHandler('h', { on: OrderPlaced, sends: PayOrder }, async (_event, ctx) => {
  const paid = await ctx.send(PayOrder, { orderId: 'o-1', paymentId: 'p-1' })
  // expect TS2339: Property 'position' does not exist on type 'Rejected<"already-paid" | "not-placed">'.
  console.log(paid.position)
})

// What it is on.
export const misreadEvent = defineHandler('h', { on: OrderPlaced }, (event) => {
  // expect TS2551: Property 'totl' does not exist
  console.log(event.data.totl)
})
export const notNarrowed = defineHandler('h', { on: [OrderPlaced, OrderPaid] }, (event) => {
  // expect TS2339: Property 'paymentId' does not exist on type '{ orderId: string; total: number; currency: string; }'.
  console.log(event.data.paymentId)
})
export const misspeltType = defineHandler('h', { on: [OrderPlaced, OrderPaid] }, (event) => {
  // expect TS2367: the types '"OrderPaid" | "OrderPlaced"' and '"OrderPlaecd"' have no overlap.
  if (event.type === 'OrderPlaecd') console.log(1)
})
// expect TS2322: is missing the following properties from type 'EventBase<string, any, any>'
export const onCommand = defineHandler('h', { on: PlaceOrder }, () => {})
// expect TS2345: Property 'on' is missing
export const onNothing = defineHandler('h', { emits: StockReserved }, () => {})
// expect TS2561: Did you mean to write 'emits'?
export const misspeltOption = defineHandler('h', { on: OrderPlaced, emit: StockReserved }, () => {})
// expect TS2820: Did you mean '"beginning"'?
export const wrongStart = defineHandler('h', { on: OrderPlaced, startAt: 'begining' }, () => {})
// expect TS2345: Types of property 'retryTopics' are incompatible.
export const unaskedRetryTopics = defineHandler('h', { on: OrderPlaced, whenExhausted: 'park', retryTopics: { delaysMs: [1] } }, () => {})
// expect TS2345: Type '"at-most-once"' is not assignable to type '"at-least-once" | "exactly-once" | undefined'.
export const onceOrAgain = defineHandler('h', { on: OrderPlaced, whenExhausted: 'retry-topics', delivery: 'at-most-once' }, () => {})
// expect TS2353: 'attempts' does not exist in type 'Pick<RetryOptions, "isPermanent">'.
export const saidTwice = defineHandler('h', { on: OrderPlaced, whenExhausted: 'retry-topics', retry: { attempts: 3 } }, () => {})

// A command without an aggregate.
export const commandUndeclaredEmit = defineCommandHandler(ReserveStock, { emits: StockReserved }, (_command, ctx) => {
  // expect TS2345: Type '"OrderShipped"' is not assignable to type '"StockReserved"'.
  ctx.emit(OrderShipped({ orderId: 'x', carrier: 'y' }))
})
// expect TS2322: Did you mean '"not-placed"'?
export const commandMisspeltRejection = defineCommandHandler(PayOrder, {}, () => reject('not-payed'))
// expect TS2322: Type '"too-late"' is not assignable to type 'never'.
export const commandUndeclaredRejection = defineCommandHandler(ShipOrder, {}, async () => reject('too-late'))
// expect TS2339: Property 'total' does not exist on type '{ orderId: string; paymentId: string; }'.
export const commandMisread = defineCommandHandler(PayOrder, {}, ({ data }) => console.log(data.total))
// expect TS2345: is missing the following properties from type 'CommandBase<string, any, string, any>': kind, rejections
export const eventAsCommand = defineCommandHandler(OrderPaid, {}, () => {})
