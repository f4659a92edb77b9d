import { type } from 'arktype'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { InvalidMessageError } from '../../src/message/errors.ts'
import { defineEvent } from '../../src/message/event.ts'
import type { Schema } from '../../src/message/schema.ts'
import { validate } from '../../src/message/schema.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'

interface Order {
  orderId: string
  items: { sku: string; count: number }[]
}

// What TypeBox makes of Type.Object({ … }): JSON Schema, with a mark of its own behind a symbol on each part.
const kind = Symbol.for('TypeBox.Kind')
const typeBox = {
  [kind]: 'Object',
  type: 'object',
  required: ['orderId', 'items'],
  properties: {
    orderId: { [kind]: 'String', type: 'string' },
    items: {
      [kind]: 'Array',
      type: 'array',
      items: {
        [kind]: 'Object',
        type: 'object',
        required: ['sku', 'count'],
        properties: { sku: { [kind]: 'String', type: 'string' }, count: { [kind]: 'Number', type: 'number' } },
      },
    },
  },
}

const schemas: readonly (readonly [string, Schema<Order>])[] = [
  ['zod', z.object({ orderId: z.string(), items: z.array(z.object({ sku: z.string(), count: z.number() })) })],
  ['valibot', v.object({ orderId: v.string(), items: v.array(v.object({ sku: v.string(), count: v.number() })) })],
  ['arktype', type({ orderId: 'string', items: type({ sku: 'string', count: 'number' }).array() })],
  ['TypeBox', jsonSchema<Order>(typeBox)],
]

describe.each(schemas)('a payload checked by %s', (_library, schema) => {
  const OrderPlaced = defineEvent('OrderPlaced', schema)

  test('that fits is taken as it is', () => {
    const payload: Order = { orderId: 'o-1', items: [{ sku: 'a', count: 1 }] }
    expect(OrderPlaced(payload).data).toEqual(payload)
  })

  test('that does not fit is refused with the path of each problem', () => {
    const wrong = {
      orderId: 7,
      items: [
        { sku: 'a', count: 1 },
        { sku: 'b', count: 'many' },
      ],
    }
    const error = thrownBy(() => OrderPlaced(wrong as never))
    expect(error).toBeInstanceOf(InvalidMessageError)
    expect((error as InvalidMessageError).issues.map(({ path }) => path).toSorted()).toEqual(['items.1.count', 'orderId'])
    expect((error as InvalidMessageError).message).toMatch(/^OrderPlaced: /)
    expect((error as InvalidMessageError).message).toContain('items.1.count: ')
  })

  test('that is something else altogether is refused at its root', () => {
    const error = thrownBy(() => OrderPlaced('an order' as never))
    expect(error).toMatchObject({ code: 'invalid-message', issues: [{ path: '' }] })
    expect((error as Error).message).toMatch(/^OrderPlaced: \(root\): /)
  })
})

describe('a schema that answers later', () => {
  const later = z.object({ id: z.string().refine((id) => Promise.resolve(id !== '')) })
  const failing: Schema<unknown> = {
    '~standard': { version: 1, vendor: 'by hand', validate: () => Promise.reject(new Error('no connection')) },
  }

  test('is refused: events are made on the spot', () => {
    expect(() => defineEvent('Later', later)({ id: 'x' })).toThrow(
      new InvalidMessageError('Later', [{ path: '', message: 'asynchronous schemas are not supported' }]),
    )
  })

  test('and then fails does not end the process', async () => {
    const unhandled: unknown[] = []
    const listener = (error: unknown) => unhandled.push(error)
    process.on('unhandledRejection', listener)
    expect(() => validate(failing, {}, 'Later')).toThrow(InvalidMessageError)
    await new Promise((resolve) => setTimeout(resolve, 20))
    process.off('unhandledRejection', listener)
    expect(unhandled).toEqual([])
  })
})

test('paths may hold keys of any kind, as objects or as they are', () => {
  const odd: Schema<unknown> = {
    '~standard': {
      version: 1,
      vendor: 'by hand',
      validate: () => ({ issues: [{ message: 'is odd', path: ['a', { key: 0 }, { key: Symbol('s') }] }, { message: 'is wrong' }] }),
    },
  }
  expect(thrownBy(() => validate(odd, 1, 'Odd'))).toMatchObject({
    message: 'Odd: a.0.Symbol(s): is odd; (root): is wrong',
    issues: [
      { path: 'a.0.Symbol(s)', message: 'is odd' },
      { path: '', message: 'is wrong' },
    ],
  })
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
