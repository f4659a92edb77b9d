import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { InvalidMessageError } from '../../src/message/errors.ts'
import { defineEvent } from '../../src/message/event.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import { decodeEvent, UnknownEventError, upcastEvent } from '../../src/schema/upcast.ts'

function recorded(type: string, schemaVersion: number, data: unknown): RecordedEvent {
  return {
    type,
    schemaVersion,
    data,
    id: 'e-1',
    source: 'orders',
    stream: 'order:o-1',
    version: 3,
    position: 4711,
    time: new Date(0),
    correlationId: 'c-1',
    causationId: 'm-1',
    metadata: { user: 'ada' },
    tags: ['vip'],
  }
}

const V1 = defineEvent('OrderPlaced', z.object({ total: z.number() }))
const V2 = V1.version(2, z.object({ total: z.number(), currency: z.string() }), (v1) => ({ ...v1, currency: 'USD' }))
const V3 = V2.version(3, z.object({ cents: z.number(), currency: z.string() }), (v2) => ({ cents: v2.total * 100, currency: v2.currency }))

describe('an event of an earlier version', () => {
  test('goes through every step since, and through none before', () => {
    expect(upcastEvent(V3, recorded('OrderPlaced', 1, { total: 12 })).data).toEqual({ cents: 1200, currency: 'USD' })
    expect(upcastEvent(V3, recorded('OrderPlaced', 2, { total: 12, currency: 'EUR' })).data).toEqual({ cents: 1200, currency: 'EUR' })
    expect(upcastEvent(V2, recorded('OrderPlaced', 1, { total: 12 })).data).toEqual({ total: 12, currency: 'USD' })
  })

  test('keeps the rest of its envelope, and what is stored stays as it was', () => {
    const stored = recorded('OrderPlaced', 1, { total: 12 })
    expect(upcastEvent(V3, stored)).toEqual({ ...stored, schemaVersion: 3, data: { cents: 1200, currency: 'USD' } })
    expect(stored).toEqual(recorded('OrderPlaced', 1, { total: 12 }))
  })

  test('gets the defaults of its new version, as its type promises', () => {
    const WithNote = V3.version(
      4,
      z.object({
        cents: z.number(),
        note: z
          .string()
          .default('none')
          .transform((note) => note.trim()),
      }),
      (v3) => v3,
    )
    expect(upcastEvent(WithNote, recorded('OrderPlaced', 1, { total: 12 })).data).toEqual({ cents: 1200, note: 'none' })
  })

  test('is given to each step as the version before has it, transforms included', () => {
    const Dated = defineEvent('Dated', z.object({ at: z.string() }))
      .version(2, z.object({ at: z.string().transform((at) => `${at}T00:00:00Z`) }), (v1) => v1)
      .version(3, z.object({ day: z.string(), at: z.string() }), (v2) => ({ day: v2.at.slice(0, 10), at: v2.at }))
    expect(upcastEvent(Dated, recorded('Dated', 1, { at: '2026-11-21' })).data).toEqual({ day: '2026-11-21', at: '2026-11-21T00:00:00Z' })
  })

  test('that a step turns into something wrong says which step and where', () => {
    const Broken = V2.version(3, z.object({ cents: z.number() }), () => ({ cents: 'many' }) as never)
    const read = () => upcastEvent(Broken, recorded('OrderPlaced', 1, { total: 12 }))
    expect(read).toThrow(InvalidMessageError)
    expect(read).toThrow(/^OrderPlaced at position 4711, upcast from version 2 to 3: cents: /)
  })
})

describe('an event of the current version', () => {
  test('is returned as it is, without another look at its payload', () => {
    const schema = z.object({ total: z.number() })
    const check = vi.spyOn(schema['~standard'], 'validate')
    const stored = recorded('OrderPlaced', 1, { total: 'no longer valid' })
    expect(upcastEvent(defineEvent('OrderPlaced', schema), stored)).toBe(stored)
    expect(check).not.toHaveBeenCalled()
  })
})

describe('an event that this program is too old for', () => {
  test('is refused when its version is a later one', () => {
    const read = () => upcastEvent(V2, recorded('OrderPlaced', 3, { cents: 1200 }))
    expect(read).toThrow(UnknownEventError)
    expect(read).toThrow('OrderPlaced at position 4711 is version 3, this program knows it up to version 2')
    expect(read).toThrow(expect.objectContaining({ code: 'unknown-event' }))
  })

  test('is refused when nobody knows its type', () => {
    const read = () => decodeEvent({ OrderPlaced: V1 }, recorded('OrderPaid', 1, {}), 'the aggregate order')
    expect(read).toThrow(UnknownEventError)
    expect(read).toThrow('order:o-1 holds OrderPaid at version 3, which the aggregate order does not know')
  })
})

describe('types that are names of JavaScript itself', () => {
  const names = ['constructor', 'toString', 'hasOwnProperty', '__proto__', 'valueOf']

  test.each(names)('%s is unknown unless it is defined', (type) => {
    expect(() => decodeEvent({}, recorded(type, 1, {}), 'the test')).toThrow(UnknownEventError)
    expect(() => decodeEvent({ OrderPlaced: V1 }, recorded(type, 1, {}), 'the test')).toThrow(UnknownEventError)
  })

  test.each(names)('%s is decoded when it is defined', (type) => {
    const definition = defineEvent(type, z.object({ a: z.number() })).version(2, z.object({ b: z.number() }), ({ a }) => ({ b: a }))
    const definitions = Object.fromEntries([[type, definition]])
    expect(decodeEvent(definitions, recorded(type, 1, { a: 1 }), 'the test')).toEqual(recorded(type, 2, { b: 1 }))
  })
})
