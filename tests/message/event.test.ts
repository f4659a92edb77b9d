import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { InvalidDefinitionError, InvalidMessageError } from '../../src/message/errors.ts'
import { defineEvent } from '../../src/message/event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'

const OrderPlaced = defineEvent('OrderPlaced', z.object({ orderId: z.string(), total: z.number() }))

describe('an event definition', () => {
  test('makes events of its type and version, without what was not said', () => {
    expect(OrderPlaced({ orderId: 'o-1', total: 12 })).toEqual({
      type: 'OrderPlaced',
      schemaVersion: 1,
      data: { orderId: 'o-1', total: 12 },
    })
  })

  test('makes events that cannot be changed', () => {
    const event = OrderPlaced({ orderId: 'o-1', total: 12 })
    expect(Object.isFrozen(event)).toBe(true)
    expect(() => Object.assign(event, { type: 'OrderPaid' })).toThrow(TypeError)
    expect(() => Object.assign(OrderPlaced, { type: 'OrderPaid' })).toThrow(TypeError)
  })

  test('stores what the schema makes of its input', () => {
    const Renamed = defineEvent('Renamed', z.object({ name: z.string().trim(), tags: z.array(z.string()).default([]) }))
    expect(Renamed({ name: '  Ada ' }).data).toEqual({ name: 'Ada', tags: [] })
  })

  test('takes along everything that may be said about an event', () => {
    const options = {
      id: 'e-1',
      source: 'urn:shop',
      time: new Date(0),
      correlationId: 'c-1',
      causationId: 'c-2',
      metadata: { user: 'ada' },
      tags: ['vip'],
    }
    expect(OrderPlaced({ orderId: 'o-1', total: 12 }, options)).toEqual({
      type: 'OrderPlaced',
      schemaVersion: 1,
      data: { orderId: 'o-1', total: 12 },
      ...options,
    })
  })

  test('takes undefined for left out, so that defaults can be put beneath the event', () => {
    const nothing = { id: undefined, source: undefined, time: undefined, correlationId: undefined, metadata: undefined, tags: undefined }
    expect(Object.keys(OrderPlaced({ orderId: 'o-1', total: 12 }, nothing)).toSorted()).toEqual(['data', 'schemaVersion', 'type'])
  })

  test('is not overruled by options that are a whole event', () => {
    const other: RecordedEvent = {
      type: 'OrderPaid',
      data: 'another payload',
      schemaVersion: 7,
      id: 'e-1',
      source: 'urn:shop',
      stream: 'order:o-1',
      version: 1,
      position: 1,
      time: new Date(0),
      correlationId: 'c-1',
      causationId: 'c-2',
      metadata: {},
      tags: [],
    }
    const event = OrderPlaced({ orderId: 'o-1', total: 12 }, other)
    expect(event).toMatchObject({ id: 'e-1', type: 'OrderPlaced', schemaVersion: 1, data: { orderId: 'o-1', total: 12 } })
  })

  test('tags its events from their payload, beside the tags that are given', () => {
    const Enrolled = defineEvent('Enrolled', z.object({ course: z.string(), student: z.string() })).tags(({ course, student }) => [
      `course:${course}`,
      `student:${student}`,
    ])
    const payload = { course: 'c-7', student: 's-1' }
    expect(Enrolled(payload).tags).toEqual(['course:c-7', 'student:s-1'])
    expect(Enrolled(payload, { tags: ['late'] }).tags).toEqual(['course:c-7', 'student:s-1', 'late'])
  })

  test('reads tags from the checked payload, not from the input', () => {
    const Tagged = defineEvent('Tagged', z.object({ name: z.string().toLowerCase() })).tags(({ name }) => [name])
    expect(Tagged({ name: 'ADA' }).tags).toEqual(['ada'])
  })

  test.each(['constructor', '__proto__', 'toString', 'name', 'length'])('may be of a type that is called %s', (type) => {
    const Odd = defineEvent(type, z.object({ id: z.string() }))
    expect(Odd.type).toBe(type)
    expect(Odd({ id: 'x' })).toEqual({ type, schemaVersion: 1, data: { id: 'x' } })
  })
})

describe('versions of an event', () => {
  const V1 = defineEvent('NameSet', z.object({ name: z.string() }))
  const V2 = V1.version(2, z.object({ first: z.string(), last: z.string() }), ({ name }) => {
    const [first = '', last = ''] = name.split(' ')
    return { first, last }
  })
  const V3 = V2.version(3, z.object({ first: z.string(), last: z.string(), title: z.string().default('') }), (v2) => v2)

  test('follow each other, and each definition stays what it was', () => {
    expect([V1.schemaVersion, V2.schemaVersion, V3.schemaVersion]).toEqual([1, 2, 3])
    expect(V3.upcasters.map(({ from }) => from)).toEqual([1, 2])
    expect(V1.upcasters).toEqual([])
    expect(V1({ name: 'Ada Lovelace' }).schemaVersion).toBe(1)
  })

  test('only the last one makes events', () => {
    expect(V3({ first: 'Ada', last: 'Lovelace' })).toEqual({
      type: 'NameSet',
      schemaVersion: 3,
      data: { first: 'Ada', last: 'Lovelace', title: '' },
    })
  })

  test.each([1, 3, 0, 2.5, Number.NaN])('refuse version %s after version 1', (version) => {
    const next = () => V1.version(version, z.object({ name: z.string() }), (v1) => v1)
    expect(next).toThrow(InvalidDefinitionError)
    expect(next).toThrow(`NameSet: after version 1 comes 2, not ${version}`)
  })

  test('refuse to drop the tags of an earlier version unheard', () => {
    const tagged = V1.tags(({ name }) => [name])
    expect(() => tagged.version(2, z.object({ name: z.string() }), (v1) => v1)).toThrow(
      new InvalidDefinitionError('NameSet: .tags(…) reads the payload of version 1; put it after .version(2, …)'),
    )
    expect(V3.tags(({ last }) => [last])({ first: 'Ada', last: 'Lovelace' }).tags).toEqual(['Lovelace'])
  })
})

describe('a definition that no compiler has seen', () => {
  test('without a type is refused', () => {
    expect(() => defineEvent('', z.object({}))).toThrow(InvalidDefinitionError)
    expect(() => defineEvent(undefined as never, z.object({}))).toThrow(InvalidDefinitionError)
  })

  test.each([undefined, null, { type: 'object' }, () => true])('with %s as its schema is refused, with what to do', (schema) => {
    const define = () => defineEvent('OrderPlaced', schema as never)
    expect(define).toThrow(InvalidDefinitionError)
    expect(define).toThrow(/OrderPlaced: the schema is no Standard Schema; .*jsonSchema/)
    expect(() => OrderPlaced.version(2, schema as never, (v1) => v1 as never)).toThrow(InvalidDefinitionError)
  })

  test('has its payloads checked all the same', () => {
    expect(() => OrderPlaced(undefined as never)).toThrow(InvalidMessageError)
  })
})
