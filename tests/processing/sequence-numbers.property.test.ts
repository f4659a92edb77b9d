import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SequenceNumbers } from '../../src/processing/sequence-numbers.ts'

const range = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.integer({ min: -1, max: 6 }))
  .map(([first, more]) => [first, first + more] as const)

test('it knows what a set of the same numbers knows, in as few ranges as there can be, and is the same when it was written and read', () => {
  fc.assert(
    fc.property(fc.array(range, { maxLength: 30 }), (added) => {
      const numbers = new SequenceNumbers()
      const model = new Set<number>()
      for (const [first, last] of added) {
        numbers.add(first, last)
        for (let number = first; number <= last; number++) model.add(number)
        const read = new SequenceNumbers(numbers.ranges)
        for (let number = 1; number <= 50; number++) {
          let missing = number
          while (model.has(missing)) missing++
          expect(read.has(number)).toBe(model.has(number))
          expect(read.firstMissing(number)).toBe(missing)
          const begins = [...model].filter((one) => one > number && !model.has(one - 1))
          expect(read.rangesAbove(number)).toBe(begins.length)
          if (!model.has(number)) expect(read.firstAbove(number)).toBe(Math.min(...begins))
        }
        const begins = [...model].filter((number) => !model.has(number - 1)).toSorted((a, b) => a - b)
        expect(numbers.ranges.map(([begin]) => begin)).toEqual(begins)
      }
    }),
    { numRuns: 60 },
  )
})
