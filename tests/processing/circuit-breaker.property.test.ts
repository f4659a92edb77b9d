import fc from 'fast-check'
import { expect, test } from 'vitest'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import type { Admission } from '../../src/processing/circuit-breaker.ts'
import { Breaker } from '../../src/processing/circuit-breaker.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'

const step = fc.oneof(
  fc.record({ what: fc.constant('ask' as const) }),
  fc.record({ what: fc.constantFrom('fail' as const, 'succeed' as const, 'withdraw' as const), which: fc.nat() }),
  fc.record({ what: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 400 }) }),
)

test('one probe at a time, none before its time, and calls from before say nothing', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 150 }), async (steps) => {
      const clock = new ManualClock()
      const parts = environment({ clock, log: silentLog })
      const breaker = new Breaker('b', { leastCalls: 3, window: 4, openMs: 100, probes: 2 })
      let underWay: { readonly admission: Admission; readonly isProbe: boolean }[] = []
      let openedAtMs = 0
      let openings = 0
      for (const one of steps) {
        const before = breaker.state
        switch (one.what) {
          case 'ask': {
            const admission = breaker.admit(parts)
            const isProbing = underWay.some(({ isProbe }) => isProbe)
            const isTime = clock.now() >= openedAtMs + 100 * Math.min(10, 2 ** (openings - 1))
            expect(admission !== undefined).toBe(before === 'closed' || (!isProbing && isTime))
            if (admission) underWay.push({ admission, isProbe: before !== 'closed' })
            break
          }
          case 'wait':
            await clock.advance(one.ms)
            break
          default: {
            const ended = underWay[one.which % underWay.length]
            if (!ended) break
            underWay = underWay.filter((other) => other !== ended)
            if (one.what === 'withdraw') ended.admission.withdraw()
            else ended.admission.ended(one.what === 'fail')
            // Said twice, it is heard once.
            ended.admission.ended(true)
            if (before !== 'closed' && !ended.isProbe) expect(breaker.state).toBe(before)
            if (ended.isProbe && one.what === 'fail') expect(breaker.state).toBe('open')
          }
        }
        if (breaker.state === 'open' && before !== 'open') {
          openedAtMs = clock.now()
          openings++
        }
        if (breaker.state === 'closed') openings = 0
        // It never stays shut for ever: without a probe under way there is a time at which one may begin.
        if (breaker.state !== 'closed' && !underWay.some(({ isProbe }) => isProbe))
          expect(breaker.retryInMs(parts)).toBeGreaterThanOrEqual(0)
      }
    }),
    { numRuns: 500 },
  )
})
