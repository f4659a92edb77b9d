import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hashOf, KeyFilter } from '../../src/projection/key-filter.ts'
import { mergeSorted } from '../../src/projection/merge-sorted.ts'

test('sorted rows are merged into sorted rows', () => {
  const sources = fc.array(fc.array(fc.string({ unit: 'binary' })).map((keys) => keys.toSorted(order).map((key) => [key] as const)))
  fc.assert(
    fc.property(sources, (sorted) => {
      expect([...mergeSorted(sorted)].map(([key]) => key)).toEqual(
        sorted
          .flat()
          .map(([key]) => key)
          .toSorted(order),
      )
    }),
  )
})

test('a filter has every key that was added, and few others', () => {
  const filter = new KeyFilter()
  const keys = Array.from({ length: 100_000 }, (_, number) => `order-${number}`)
  for (const key of keys) filter.add(key)
  expect(keys.every((key) => filter.mayHave(key))).toBe(true)
  expect(keys.filter((key) => filter.mayHave(`other-${key}`)).length).toBeLessThan(100)
})

test('keys that differ little are spread over all partitions', () => {
  const counts = Array.from({ length: 256 }, () => 0)
  for (let number = 0; number < 256_000; number++) counts[hashOf(`customer-${number}`) % 256]!++
  expect(Math.min(...counts)).toBeGreaterThan(800)
  expect(Math.max(...counts)).toBeLessThan(1_200)
})

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
