import { describe, expect, test } from 'vitest'
import { isTransient } from '../../../src/storage/postgres/errors.ts'

const withCode = (code: string) => Object.assign(new Error('from PostgreSQL or Node'), { code })

describe('an error of PostgreSQL', () => {
  test.each([
    '08006',
    '08001',
    '57P01',
    '57P02',
    '57P03',
    '57014',
    '40001',
    '40P01',
    '55P03',
    '53300',
    'ECONNRESET',
    'ECONNREFUSED',
    'ETIMEDOUT',
  ])('is worth another try: %s', (code) => expect(isTransient(withCode(code))).toBe(true))

  test.each([
    'Connection terminated',
    'Connection terminated unexpectedly',
    'Client has encountered a connection error and is not queryable',
    'timeout exceeded when trying to connect',
    'Query read timeout',
  ])('is worth another try: %s', (message) => expect(isTransient(new Error(message))).toBe(true))

  test('is worth another try where none of several addresses answered', () => {
    expect(isTransient(new AggregateError([withCode('ECONNREFUSED'), withCode('ECONNREFUSED')]))).toBe(true)
  })

  test.each(['23505', '22P02', '22021', '42P01', '42501', '08P01', '28P01', '3D000', '22003'])('would come again: %s', (code) =>
    expect(isTransient(withCode(code))).toBe(false),
  )

  test('that is none is not worth another try', () => {
    for (const error of [new Error('something else'), undefined, null, 'Connection terminated', { code: '08006' }])
      expect(isTransient(error)).toBe(false)
  })
})
