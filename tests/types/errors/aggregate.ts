import { defineAggregate, defineCommand, reject } from 'headwater'
import type { SendResult } from 'headwater'
import { z } from 'zod'
import { OrderPaid, OrderPlaced, OrderShipped, PayOrder, PlaceOrder, ShipOrder, StockReserved } from '../examples/messages.ts'
import type { Order } from '../examples/order.ts'

const start = defineAggregate('order', { id: 'orderId', initialState: (): Order => ({ status: 'none' }) })

// Evolve.
export const misspeltEvent = start.evolve(
  { OrderPlaced, OrderPaid },
  {
    OrderPlaced: (_state, { data }) => ({ status: 'placed', total: data.total }),
    // expect TS2561: Did you mean to write 'OrderPlaced'?
    // expect TS7006: Parameter 'state' implicitly has an 'any' type.
    OrderPayed: (state) => state,
  },
)
export const missingCase = start.evolve(
  { OrderPlaced, OrderPaid, OrderShipped },
  // expect TS2345: Property 'OrderShipped' is missing
  {
    OrderPlaced: (_state, { data }) => ({ status: 'placed', total: data.total }),
    OrderPaid: (state) => state,
  },
)
export const noReturn = start.evolve(
  { OrderPlaced },
  {
    // expect TS2322: Type 'void' is not assignable to type 'Order'.
    OrderPlaced: (_state, { data }) => {
      data.total.toFixed()
    },
  },
)
export const misspeltStatus = start.evolve(
  { OrderPlaced },
  // expect TS2820: Did you mean '"placed"'?
  { OrderPlaced: (_state, { data }) => ({ status: 'plaecd', total: data.total }) },
)
// expect TS2322: Property 'total' is missing
export const missingStateField = start.evolve({ OrderPlaced }, { OrderPlaced: () => ({ status: 'placed' }) })
export const extraStateField = start.evolve(
  { OrderPlaced },
  {
    // expect TS2322: not a field of the result: totl
    OrderPlaced: (_state, { data }) => ({ status: 'placed', total: data.total, totl: 3 }),
  },
)
export const misspeltDataField = start.evolve(
  { OrderPlaced },
  // expect TS2551: Property 'totl' does not exist
  { OrderPlaced: (_state, { data }) => ({ status: 'placed', total: data.totl }) },
)
// expect TS2322: the key must be the name of the message: OrderPlaced
export const otherName = start.evolve({ Placed: OrderPlaced }, { Placed: (state) => state })
// expect TS2322: Type 'Promise<Order>' is not assignable to type 'Order'.
export const asyncEvolve = start.evolve({ OrderShipped }, { OrderShipped: async (state) => state })
// expect TS2552: Cannot find name 'OrderPlacd'. Did you mean 'OrderPlaced'?
// expect TS2345: Property 'OrderPlacd' is missing
export const misspeltImport = start.evolve({ OrderPlacd, OrderPaid }, { OrderPaid: (state) => state })
// expect TS2339: Property 'total' does not exist on type '{ status: "none"; }'.
export const stateNotNarrowed = start.evolve({ OrderPaid }, { OrderPaid: (state) => ({ status: 'placed', total: state.total }) })

// Decide.
const decider = start.evolve(
  { OrderPlaced, OrderPaid },
  { OrderPlaced: (_state, { data }) => ({ status: 'placed', total: data.total }), OrderPaid: (state) => state },
)
export const foreignEvent = decider.decide(
  { PlaceOrder },
  // expect TS2322: Type '"StockReserved"' is not assignable to type '"OrderPaid"'.
  { PlaceOrder: (_state, { data }) => [StockReserved({ orderId: data.orderId, reservationId: 'r' })] },
)
export const wrongPayload = decider.decide(
  { PlaceOrder },
  // expect TS2322: Type 'string' is not assignable to type 'number'.
  { PlaceOrder: (_state, { data }) => OrderPlaced({ orderId: data.orderId, total: '12', currency: 'EUR' }) },
)
// expect TS2741: Property 'currency' is missing
export const missingField = decider.decide({ PlaceOrder }, { PlaceOrder: (_state, { data }) => OrderPlaced({ ...data }) })
export const noDecision = decider.decide(
  { PlaceOrder },
  {
    // expect TS2322: Type 'void' is not assignable to type 'Decision<
    PlaceOrder: (_state, { data }) => {
      OrderPlaced({ ...data, currency: 'EUR' })
    },
  },
)
export const misspeltRejection = decider.decide(
  { PlaceOrder },
  {
    // expect TS2322: Type '"order-exist"' is not assignable to type '"order-exists"'.
    PlaceOrder: (state, { data }) => (state.status === 'none' ? OrderPlaced({ ...data, currency: 'EUR' }) : reject('order-exist')),
  },
)
// expect TS2322: Type '"too-late"' is not assignable to type 'never'.
export const undeclaredRejection = decider.decide({ ShipOrder }, { ShipOrder: () => reject('too-late') })
// expect TS2322: Type 'string' is not assignable to type 'Decision<
export const codeWithoutReject = decider.decide({ PayOrder }, { PayOrder: (state) => (state.status === 'none' ? 'not-placed' : []) })
// expect TS2741: Property 'ShipOrder' is missing
export const missingDecision = decider.decide({ PlaceOrder, ShipOrder, PayOrder }, { PlaceOrder: () => [], PayOrder: () => [] })
// expect TS2322: Type 'Promise<never[]>' is not assignable to type 'Decision<
export const asyncDecide = decider.decide({ PlaceOrder }, { PlaceOrder: async () => [] })
// expect TS2551: Property 'totl' does not exist on type '{ orderId: string; total: number; }'. Did you mean 'total'?
export const misreadCommand = decider.decide({ PlaceOrder }, { PlaceOrder: (_state, { data }) => (data.totl > 0 ? [] : []) })
// expect TS2322: is missing the following properties from type 'CommandBase<string, any, string, any>': kind, rejections
export const eventAsCommand = decider.decide({ OrderPaid }, { OrderPaid: () => [] })

// How a command finds its aggregate.
const Odd = defineCommand('Odd', z.object({ id: z.string() }))
// expect TS2322: Odd has no string field 'orderId' to find its aggregate by
export const noIdField = decider.decide({ Odd }, { Odd: () => [] })
const Numbered = defineCommand('Numbered', z.object({ orderId: z.number() }))
// expect TS2322: Numbered has no string field 'orderId' to find its aggregate by
export const idIsNoText = decider.decide({ Numbered }, { Numbered: () => [] })
// expect TS2741: Property 'id' is missing
export const noId = defineAggregate('order', { initialState: () => 0 })
// expect TS2561: Did you mean to write 'every'?
export const misspeltSnapshot = defineAggregate('order', { id: 'orderId', initialState: () => 0, snapshot: { evry: 10 } })

// Outcomes.
declare const outcome: SendResult<'order-exists'>
// expect TS2339: Property 'position' does not exist on type 'Rejected<"order-exists">'.
export const unread = outcome.position
