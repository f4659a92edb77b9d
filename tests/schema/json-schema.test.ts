import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { InvalidDefinitionError, InvalidMessageError } from '../../src/message/errors.ts'
import { defineEvent } from '../../src/message/event.ts'
import { validate } from '../../src/message/schema.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'

function problemsOf(schema: object, value: unknown): string[] {
  try {
    validate(jsonSchema<unknown>(schema), value, 'It')
    return []
  } catch (error) {
    if (!(error instanceof InvalidMessageError)) throw error
    return error.issues.map(({ path, message }) => `${path}: ${message}`)
  }
}

describe('a JSON Schema', () => {
  const schema = {
    type: 'object',
    required: ['orderId'],
    additionalProperties: false,
    properties: { orderId: { type: 'string' }, total: { type: 'number', minimum: 0 }, status: { enum: ['new', 'paid'] } },
  }

  test('takes what fits, and returns the very value: nothing is coerced or filled in', () => {
    const value = { orderId: 'o-1', total: 3 }
    expect(validate(jsonSchema<unknown>({ ...schema, properties: { ...schema.properties, note: { default: 'x' } } }), value, 'It')).toBe(
      value,
    )
    expect(value).toEqual({ orderId: 'o-1', total: 3 })
    expect(problemsOf(schema, { orderId: 'o-1', total: '3' })).toEqual(['total: must be number'])
  })

  test('names every problem with its path, the field that is one too many and the values that would do', () => {
    expect(problemsOf(schema, { total: -1, status: 'gone', totl: 1 }).toSorted()).toEqual([
      ": must NOT have additional properties: 'totl'",
      ": must have required property 'orderId'",
      'status: must be equal to one of the allowed values: ["new","paid"]',
      'total: must be >= 0',
    ])
    expect(problemsOf({ const: 1 }, 2)).toEqual([': must be equal to constant: 1'])
    expect(problemsOf({ properties: { a: true }, unevaluatedProperties: false }, { b: 1 })).toEqual([
      ": must NOT have unevaluated properties: 'b'",
    ])
  })

  test('names fields that hold slashes and tildes as they are', () => {
    const item = { type: 'number' }
    expect(problemsOf({ properties: { 'a/b': { properties: { '~1': { items: item } } } } }, { 'a/b': { '~1': [0, 'x'] } })).toEqual([
      'a/b.~1.1: must be number',
    ])
  })

  test('may refer to itself, to its own definitions, and by its own name', () => {
    const tree = {
      $id: 'Tree',
      type: 'object',
      required: ['name'],
      properties: { name: { $ref: '#/$defs/name' }, children: { type: 'array', items: { $ref: 'Tree' } } },
      $defs: { name: { type: 'string' } },
    }
    expect(problemsOf(tree, { name: 'a', children: [{ name: 'b', children: [{ name: 7 }] }] })).toEqual([
      'children.0.children.0.name: must be string',
    ])
  })

  test('may have the name of another one, at its root or within', () => {
    const named = (type: string) => ({ $id: 'Id', properties: { inner: { $id: 'Inner', type } } })
    expect(problemsOf(named('string'), { inner: 1 })).toEqual(['inner: must be string'])
    expect(problemsOf(named('number'), { inner: 'x' })).toEqual(['inner: must be number'])
  })

  test('is read as 2020-12, or as draft-07 where it says so', () => {
    const tuple = [{ type: 'string' }, { type: 'number' }]
    expect(problemsOf({ prefixItems: tuple }, ['a', 'b'])).toEqual(['1: must be number'])
    const draft07 = 'http://json-schema.org/draft-07/schema#'
    expect(problemsOf({ $schema: draft07, items: tuple }, ['a', 'b'])).toEqual(['1: must be number'])
    const current = 'https://json-schema.org/draft/2020-12/schema'
    expect(problemsOf({ $schema: current, prefixItems: tuple }, ['a', 'b'])).toEqual(['1: must be number'])
  })

  test('may come from another library', () => {
    const exported = z.toJSONSchema(z.object({ id: z.string(), tags: z.array(z.string()) }))
    expect(problemsOf(exported, { id: 'x', tags: [1] })).toEqual(['tags.0: must be string'])
  })

  test('may hold remarks: formats and unknown words are not checked, and nothing is printed about them', () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const error = vi.spyOn(console, 'error').mockImplementation(() => {})
    expect(problemsOf({ type: 'string', format: 'email', 'x-remark': 1 }, 'no address')).toEqual([])
    expect(problemsOf({ format: 'no-such-format' }, 'x')).toEqual([])
    expect([...warn.mock.calls, ...error.mock.calls]).toEqual([])
    warn.mockRestore()
    error.mockRestore()
  })

  test.each([
    [{ type: 'strin' }, 'data/type must be equal to one of the allowed values'],
    [{ $schema: 'http://json-schema.org/draft-07/schema#', required: 'id' }, 'data/required must be array'],
    [
      { $schema: 'https://json-schema.org/draft/2019-09/schema' },
      'no schema with key or ref "https://json-schema.org/draft/2019-09/schema"',
    ],
    [{ $ref: '#/$defs/missing' }, "can't resolve reference #/$defs/missing"],
  ])('that is none is refused when it is defined: %j', (wrong, reason) => {
    expect(() => jsonSchema(wrong)).toThrow(InvalidDefinitionError)
    expect(() => jsonSchema(wrong)).toThrow(/^not a JSON Schema \(2020-12 or draft-07\): /)
    expect(() => jsonSchema(wrong)).toThrow(reason)
  })

  test('is no schema before jsonSchema has made one of it', () => {
    expect(() => defineEvent('It', schema as never)).toThrow(/jsonSchema/)
  })
})
