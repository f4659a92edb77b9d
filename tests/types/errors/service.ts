import { defineQuery, defineService, start } from 'headwater'
import type { Storage } from 'headwater'
import { z } from 'zod'
import { OrderPlaced, PlaceOrder, ReserveStock } from '../examples/messages.ts'
import { order } from '../examples/order.ts'
import { orderById, orders, orderSummary, reserveStock } from '../examples/shop.ts'

// Its parts.
// expect TS2740: is missing the following properties from type 'AnyAggregate'
export const commandAsAggregate = defineService('x', { aggregates: [PlaceOrder] })
// expect TS2740: is missing the following properties from type 'AnyProjection'
export const handlerAsProjection = defineService('x', { projections: [reserveStock] })
// expect TS2322: is missing the following properties from type 'Handler<string, any, any, any>'
export const eventAsHandler = defineService('x', { handlers: [OrderPlaced] })
// expect TS2739: is missing the following properties from type 'AnyQuery'
export const projectionAsQuery = defineService('x', { queries: [orderSummary] })
// expect TS2561: Did you mean to write 'handlers'?
export const unfinished = defineService('x', { aggregates: [order], handler: [reserveStock] })

declare const storage: Storage
const app = await start(orders, { storage })
// expect TS2741: Property 'storage' is missing in type '{}' but required in type 'StartOptions'.
export const noStorage = await start(orders, {})

// Commands.
// expect TS2345: no aggregate or command handler of this service handles ReserveStock
await app.send(ReserveStock, { orderId: 'x' })
// expect TS2322: Type 'number' is not assignable to type 'string'.
await app.send(PlaceOrder, { orderId: 1, total: 2 })
// expect TS2741: Property 'total' is missing
await app.send(PlaceOrder, { orderId: '1' })
// expect TS2345: Argument of type 'string' is not assignable
await app.send('PlaceOrder', { orderId: '1', total: 2 })
const placed = await app.send(PlaceOrder, { orderId: '1', total: 2 })
// expect TS2339: Property 'position' does not exist on type 'Rejected<"order-exists">'.
console.log(placed.position)
// expect TS2367: the types '"order-exists"' and '"order-exist"' have no overlap.
if (!placed.ok && placed.code === 'order-exist') console.log(placed)

// Queries.
const other = defineQuery('Other', z.object({}), orderSummary, (_params, docs) => docs.find())
// expect TS2345: this service does not list the query Other
await app.query(other, {})
// expect TS2561: Did you mean to write 'orderId'?
await app.query(orderById, { orderID: 'x' })
// expect TS2561: Did you mean to write 'atLeast'?
await app.query(orderById, { orderId: 'x' }, { atleast: 7 })
// expect TS2532: Object is possibly 'undefined'.
console.log((await app.query(orderById, { orderId: 'x' })).total)
// expect TS2353: 'orderId' does not exist in type 'Pick<Where<OrderSummary>, "status" | "total">'.
await app.documents(orderSummary).find({ where: { orderId: 'x' } })

// State.
const state = await app.state(order, 'o-1')
// expect TS2339: Property 'total' does not exist on type '{ status: "none"; }'.
console.log(state.total)
// expect TS2740: is missing the following properties from type 'AnyAggregate'
await app.state(orderSummary, 'o-1')
