import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compareKeys, KeyRanges } from '../../src/projection/key-ranges.ts'

const keys = fc.array(fc.string({ unit: 'binary' }))

test('keys that are taken range by range, each sorted, are sorted', () => {
  fc.assert(
    fc.property(keys, keys, fc.integer({ min: 1, max: 20 }), (sample, all, count) => {
      const ranges = new KeyRanges(sample, count)
      const byRange: string[][] = Array.from({ length: count }, () => [])
      for (const key of all) byRange[ranges.of(key)]!.push(key)
      expect(byRange.flatMap((some) => some.toSorted(compareKeys))).toEqual(all.toSorted(compareKeys))
    }),
  )
})

test('a sample divides all keys evenly', () => {
  const all = Array.from({ length: 100_000 }, (_, number) => `customer-${number}`)
  const ranges = new KeyRanges(
    all.filter((_, number) => number % 20 === 7),
    50,
  )
  const counts = Array.from({ length: 50 }, () => 0)
  for (const key of all) counts[ranges.of(key)]!++
  expect(Math.min(...counts)).toBeGreaterThan(1_800)
  expect(Math.max(...counts)).toBeLessThan(2_200)
})
