import { defineCommand, defineEvent, jsonSchema } from 'headwater'
import { z } from 'zod'
import { OrderPaid, OrderPlaced } from '../examples/messages.ts'

// A payload.
// expect TS2322: Type 'number' is not assignable to type 'string'.
export const wrongType = OrderPaid({ orderId: 1, paymentId: 'p-1' })
// expect TS2741: Property 'paymentId' is missing
export const missingField = OrderPaid({ orderId: 'o-1' })
// expect TS2561: Did you mean to write 'paymentId'?
export const misspeltField = OrderPaid({ orderId: 'o-1', paymentID: 'p-1' })
// expect TS2741: Property 'currency' is missing
export const oldVersion = OrderPlaced({ orderId: 'o-1', total: 12 })
// expect TS2561: Did you mean to write 'correlationId'?
export const misspeltOption = OrderPaid({ orderId: 'o-1', paymentId: 'p-1' }, { correlationID: 'c-1' })
export const readOnly = OrderPaid({ orderId: 'o-1', paymentId: 'p-1' })
// expect TS2540: Cannot assign to 'data' because it is a read-only property.
readOnly.data = { orderId: 'o-2', paymentId: 'p-1' }

// What would not come back from JSON as it was.
// expect TS2345: 'not JSON, would come back changed': "data.at[].t"
export const withDate = defineEvent('WithDate', z.object({ a: z.string(), at: z.array(z.object({ t: z.date() })) }))
// expect TS2345: 'not JSON, would come back changed': "data.amount"
export const withBigint = defineEvent('WithBigint', z.object({ amount: z.bigint() }))
// expect TS2345: 'not JSON, would come back changed': "data.stock"
export const withMap = defineEvent('WithMap', z.object({ stock: z.map(z.string(), z.number()) }))
// expect TS2345: 'not JSON, would come back changed': "data.bytes" | "data.link"
export const withClass = defineEvent('WithClass', z.object({ link: z.instanceof(URL), bytes: z.instanceof(Uint8Array) }))
// expect TS2345: 'not JSON, would come back changed': `data.${string}`
export const withDates = defineEvent('WithDates', z.record(z.string(), z.date()))
interface DatedTree {
  at: Date
  children: DatedTree[]
}
// expect TS2345: 'not JSON, would come back changed': "data.at"
export const withDatedTree = defineEvent('WithDatedTree', jsonSchema<DatedTree>({}))
// expect TS2345: 'not JSON, would come back changed': "data.at"
export const laterVersionWithDate = OrderPaid.version(2, z.object({ at: z.date() }), () => ({ at: new Date() }))

// A schema.
// expect TS2353: 'type' does not exist in type 'StandardSchemaV1<unknown, unknown>'.
export const noSchema = defineEvent('NoSchema', { type: 'object' })
// expect TS2353: 'type' does not exist in type 'StandardSchemaV1<unknown, unknown>'.
export const noSchemaOfCommand = defineCommand('NoSchema', { type: 'object' })

// A version.
// expect TS2741: Property 'amount' is missing
export const incompleteUpcast = OrderPaid.version(2, z.object({ orderId: z.string(), amount: z.number() }), (v1) => ({ ...v1 }))
// expect TS2339: Property 'id' does not exist on type '{ orderId: string; paymentId: string; }'.
export const misreadUpcast = OrderPaid.version(2, z.object({ orderId: z.string() }), (v1) => ({ orderId: v1.id }))
// expect TS2345: Argument of type 'string' is not assignable to parameter of type 'number'.
export const versionAsText = OrderPaid.version('2', z.object({}), () => ({}))

// Tags and rejections.
// expect TS2339: Property 'orderID' does not exist on type '{ orderId: string; paymentId: string; }'.
export const misreadTags = OrderPaid.tags(({ orderID }) => [orderID])
// expect TS2322: Type 'string' is not assignable to type 'readonly string[]'.
export const oneTag = OrderPaid.tags(({ orderId }) => orderId)
// expect TS2322: Type 'string' is not assignable to type 'readonly never[]'.
export const oneRejection = defineCommand('X', z.object({}), { rejections: 'no' })
// expect TS2561: Did you mean to write 'rejections'?
export const misspeltOptionOfCommand = defineCommand('X', z.object({}), { rejection: ['no'] })
