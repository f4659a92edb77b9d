import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InvalidEventError } from '../../src/storage/errors.ts'
import { isPermanent, nextAttemptInMs, PermanentError, retryPolicy } from '../../src/processing/retry.ts'

const policies = fc.record({
  attempts: fc.integer({ min: 1, max: 20 }),
  firstMs: fc.integer({ min: 1, max: 10_000 }),
  maxMs: fc.integer({ min: 1, max: 1_000_000 }),
  maxTotalMs: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 1_000_000 })),
})

test('retries end, wait no longer than they may, and never begin too late', () => {
  fc.assert(
    fc.property(policies, fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (given, random) => {
      const policy = retryPolicy(given)
      let nowMs = 0
      let failed = 1
      for (;;) {
        const inMs = nextAttemptInMs(policy, { failed, error: new Error('not now'), sinceFirstFailureMs: nowMs, random: () => random })
        if (inMs === undefined) break
        expect(inMs).toBeLessThanOrEqual(Math.min(given.maxMs, given.firstMs * 2 ** (failed - 1)))
        nowMs += inMs
        failed++
      }
      expect(failed).toBeLessThanOrEqual(given.attempts)
      expect(nowMs).toBeLessThanOrEqual(given.maxTotalMs)
      if (given.maxTotalMs === Infinity) expect(failed).toBe(given.attempts)
    }),
  )
})

test('a permanent failure is not tried again, whoever says that it is', () => {
  const policy = retryPolicy({ isPermanent: (error) => error instanceof RangeError })
  for (const error of [new PermanentError('never'), new InvalidEventError('bad'), new RangeError('too far')]) {
    expect(isPermanent(policy, error)).toBe(true)
    expect(nextAttemptInMs(policy, { failed: 1, error, sinceFirstFailureMs: 0, random: () => 0 })).toBeUndefined()
  }
  expect(nextAttemptInMs(policy, { failed: 1, error: new TypeError('x'), sinceFirstFailureMs: 0, random: () => 0 })).toBe(0)
})
