import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineCommand, isReject, reject } from '../../src/message/command.ts'
import { InvalidDefinitionError } from '../../src/message/errors.ts'
import { accepted, RejectedError } from '../../src/message/outcome.ts'

describe('a command definition', () => {
  test('says its type, its schema and how it may be refused', () => {
    const schema = z.object({ orderId: z.string() })
    expect(defineCommand('PayOrder', schema, { rejections: ['not-placed', 'already-paid'] })).toEqual({
      kind: 'command',
      type: 'PayOrder',
      schema,
      rejections: ['not-placed', 'already-paid'],
    })
    expect(defineCommand('ShipOrder', schema).rejections).toEqual([])
  })

  test('cannot be changed', () => {
    expect(Object.isFrozen(defineCommand('ShipOrder', z.object({})))).toBe(true)
  })

  test('without a type or a schema is refused', () => {
    expect(() => defineCommand('', z.object({}))).toThrow(InvalidDefinitionError)
    expect(() => defineCommand('PayOrder', { type: 'object' } as never)).toThrow(/PayOrder: the schema is no Standard Schema/)
  })
})

describe('a rejection', () => {
  test('has a message, by default its code', () => {
    expect(reject('not-placed')).toEqual({ rejected: 'not-placed', message: 'not-placed' })
    expect(reject('not-placed', 'there is no such order')).toEqual({ rejected: 'not-placed', message: 'there is no such order' })
  })

  test('is told from events and from nothing', () => {
    expect(isReject(reject('not-placed'))).toBe(true)
    expect(isReject({ type: 'rejected', data: {} })).toBe(false)
    expect(isReject([])).toBe(false)
    expect(isReject(undefined)).toBe(false)
  })

  test('is thrown where it was not expected', () => {
    const outcome = { ok: true, position: 1, version: 1, events: [], duplicate: false } as const
    expect(accepted(outcome)).toBe(outcome)
    const refused = { ok: false, code: 'not-placed', message: 'there is no such order' } as const
    expect(() => accepted(refused)).toThrow(RejectedError)
    expect(() => accepted(refused)).toThrow('not-placed: there is no such order')
    expect(() => accepted({ ...refused, message: 'not-placed' })).toThrow(/^not-placed$/)
    try {
      accepted(refused)
    } catch (error) {
      expect(error).toMatchObject({ code: 'rejected', rejection: 'not-placed' })
    }
  })
})
