import { type } from 'arktype'
import { defineCommand, defineCommandHandler, defineEvent, defineHandler, jsonSchema, reject } from 'headwater'
import type { EventDefinition, TransformingEvent } from 'headwater'
import * as v from 'valibot'
import { z } from 'zod'
import type { Equal } from '../equal.ts'
import { is } from '../equal.ts'

// One event from each of the schema libraries.
export const FromValibot = defineEvent('FromValibot', v.object({ id: v.string(), n: v.optional(v.number(), 3) }))
export const FromArktype = defineEvent('FromArktype', type({ id: 'string', 'note?': 'string' }))
export const FromJsonSchema = defineEvent('FromJsonSchema', jsonSchema<{ id: string }>({ type: 'object' }))
export const FromZod = defineEvent(
  'FromZod',
  z.object({
    id: z.string(),
    tags: z.array(z.string()).default([]),
    extra: z.record(z.string(), z.unknown()),
    optional: z.string().optional(),
    anything: z.any(),
  }),
)
FromValibot({ id: 'x' })
FromArktype({ id: 'x' })
FromJsonSchema({ id: 'x' })
FromZod({ id: 'x', extra: {}, anything: 1 })
is<Equal<typeof FromValibot, TransformingEvent<'FromValibot', { id: string; n: number }, { id: string; n?: number | undefined }>>>()
is<Equal<ReturnType<typeof FromValibot>['data'], { id: string; n: number }>>()
is<Equal<typeof FromJsonSchema, EventDefinition<'FromJsonSchema', { id: string }>>>()

// Payloads that contain themselves.
interface Tree {
  readonly name: string
  readonly children: readonly Tree[]
}
type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
const Category = z.object({
  name: z.string(),
  get children() {
    return z.array(Category)
  },
})
export const TreeGrown = defineEvent('TreeGrown', jsonSchema<Tree>({}))
export const Noted = defineEvent('Noted', jsonSchema<Json>({}))
export const Sorted = defineEvent('Sorted', Category)
export const Described = defineEvent('Described', z.object({ id: z.string(), details: z.json() }))

// Three versions: each upcast is given the data of the version before.
export const NameSet = defineEvent('NameSet', z.object({ name: z.string() }))
  .version(2, z.object({ first: z.string(), last: z.string() }), (v1) => {
    is<Equal<typeof v1, { name: string }>>()
    return { first: v1.name.split(' ')[0] ?? '', last: '' }
  })
  .version(3, z.object({ first: z.string(), last: z.string(), age: z.number().default(0) }), (v2) => {
    is<Equal<typeof v2, { first: string; last: string }>>()
    return v2
  })
  .tags(({ last, age }) => [`name:${last}`, `age:${age}`])
is<Equal<Parameters<typeof NameSet>[0], { first: string; last: string; age?: number | undefined }>>()

// A handler of several events knows which one it has.
export const watchNames = defineHandler(
  'watch-names',
  { on: [FromValibot, FromArktype, NameSet], emits: [FromValibot, FromJsonSchema] },
  (event, ctx) => {
    is<Equal<typeof event.type, 'FromValibot' | 'FromArktype' | 'NameSet'>>()
    if (event.type === 'FromValibot') ctx.emit(FromJsonSchema({ id: event.data.id }), FromValibot({ id: `${event.data.n}` }))
    else if (event.type === 'NameSet') ctx.emit(FromJsonSchema({ id: event.data.age.toFixed() }))
  },
)

// A command without an aggregate, with a default in its schema and a rejection.
const Charge = defineCommand('Charge', z.object({ amount: z.number(), currency: z.string().default('EUR') }), { rejections: ['declined'] })
export const charge = defineCommandHandler(Charge, { emits: FromJsonSchema }, async ({ data }, ctx) => {
  if (data.amount > 100) return reject('declined')
  return ctx.emit(FromJsonSchema({ id: data.currency }))
})
