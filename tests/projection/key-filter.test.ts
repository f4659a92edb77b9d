import { expect, test } from 'vitest'
import { hashOf } from '../../src/message/hash.ts'
import { KeyFilter } from '../../src/projection/key-filter.ts'

test('a filter has every key that was added, and few others', () => {
  const filter = new KeyFilter()
  const keys = Array.from({ length: 100_000 }, (_, number) => `order-${number}`)
  for (const key of keys) filter.add(key)
  expect(keys.every((key) => filter.mayHave(key))).toBe(true)
  expect(keys.filter((key) => filter.mayHave(`other-${key}`)).length).toBeLessThan(20)
})

test('keys that differ little are spread over all partitions', () => {
  const counts = Array.from({ length: 256 }, () => 0)
  for (let number = 0; number < 256_000; number++) counts[hashOf(`customer-${number}`) % 256]!++
  expect(Math.min(...counts)).toBeGreaterThan(800)
  expect(Math.max(...counts)).toBeLessThan(1_200)
})
