import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { uuidFrom, uuidv7 } from '../../src/message/id.ts'

const uuid = (version: number): RegExp => new RegExp(`^[0-9a-f]{8}-[0-9a-f]{4}-${version}[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
const timeOf = (id: string): number => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

describe('uuidv7', () => {
  test('is a UUID of version 7 that begins with the time', () => {
    const before = Date.now()
    const id = uuidv7()
    expect(id).toMatch(uuid(7))
    expect(timeOf(id)).toBeGreaterThanOrEqual(before)
    expect(timeOf(id)).toBeLessThanOrEqual(Date.now())
  })

  test('never comes twice and always sorts behind the ones before', () => {
    const ids = Array.from({ length: 100_000 }, () => uuidv7())
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.findIndex((id, index) => index > 0 && id <= ids[index - 1]!)).toBe(-1)
    const pattern = uuid(7)
    expect(ids.find((id) => !pattern.test(id))).toBeUndefined()
  })

  test('keeps its order when more are made in a millisecond than the counter holds, by running ahead of the clock', () => {
    const now = Date.now() + 60_000
    const ids = Array.from({ length: 10_000 }, () => uuidv7(now))
    expect(ids.toSorted()).toEqual(ids)
    expect(timeOf(ids[0]!)).toBe(now)
    expect(timeOf(ids.at(-1)!)).toBeLessThanOrEqual(now + 3)
  })

  test('keeps its order when the clock goes backwards', () => {
    const now = Date.now() + 120_000
    const ids = [now, now - 1, now - 3_600_000, now - 3_600_001, now, now + 1].map((ms) => uuidv7(ms))
    expect(ids.toSorted()).toEqual(ids)
    expect(timeOf(ids[2]!)).toBe(now)
    expect(timeOf(ids.at(-1)!)).toBe(now + 1)
  })
})

describe('uuidFrom', () => {
  test('is the same UUID of version 8 for the same parts, in every process and release', () => {
    expect(uuidFrom('reserve-stock', 'urn:shop', 'e-1', 'event', '0')).toBe('c2294cba-ba4a-843b-b49e-80fc6e7907b5')
    expect(uuidFrom()).toBe('4f53cda1-8c2b-8a0c-8354-bb5f9a3ecbe5')
    expect(uuidFrom('a')).toMatch(uuid(8))
  })

  test('is another one for other parts, however they are cut', () => {
    expect(new Set([uuidFrom('ab', 'c'), uuidFrom('a', 'bc'), uuidFrom('abc'), uuidFrom('a,b', 'c'), uuidFrom('', 'abc')]).size).toBe(5)
    fc.assert(
      fc.property(fc.array(fc.string()), fc.array(fc.string()), (one, other) => {
        expect(uuidFrom(...one) === uuidFrom(...other)).toBe(JSON.stringify(one) === JSON.stringify(other))
      }),
    )
  })
})
