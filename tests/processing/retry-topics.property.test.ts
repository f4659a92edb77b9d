import fc from 'fast-check'
import { expect, test } from 'vitest'
import { TransportUnavailableError } from '../../src/transport/errors.ts'
import { Done, RetryWorld } from './retry-world.ts'
import type { Item } from './retry-world.ts'

const options = { whenExhausted: 'retry-topics', retryTopics: { delaysMs: [200, 500] } } as const

const scenario = fc.record({
  ordering: fc.constantFrom('partition' as const, 'queue' as const, 'group' as const),
  /** How often each message fails: more than twice, and it is given up. */
  fails: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 12 }),
  /** Which of the service's publications are not confirmed, though every other one of them was written. */
  unconfirmed: fc.array(fc.integer({ min: 0, max: 15 }), { maxLength: 3 }),
  /** Which of its commits are lost. */
  lost: fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 3 }),
  /** When it is stopped and started again. */
  stopsAfterMs: fc.array(fc.integer({ min: 0, max: 900 }), { maxLength: 2 }),
})

test('whatever fails on the way, each message has its effect once, or is a dead letter once', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async ({ ordering, fails, unconfirmed, lost, stopsAfterMs }) => {
      let publications = 0
      let commits = 0
      const world = await RetryWorld.open({
        ordering,
        confirms: async () => {
          if (unconfirmed.includes(publications++)) throw new TransportUnavailableError('not confirmed')
        },
        aroundCommits: async (sets, commit) => {
          if (sets.some(({ inbox }) => inbox) && lost.includes(commits++)) throw new Error('lost')
          return commit(sets)
        },
      })
      const start = () =>
        world.start(options, ({ data }, { attempt, emit }) => {
          emit(Done(data))
          if (attempt <= fails[data.n]!) throw new Error('not yet')
        })
      let app = await start()
      await world.ask(...fails.map((_, n) => ({ key: `k${n % 3}`, n })))
      for (const afterMs of stopsAfterMs) {
        const untilMs = world.clock.now() + afterMs
        await world.until(() => world.clock.now() >= untilMs)
        let hasStopped = false
        void app.stop().then(() => (hasStopped = true))
        await world.until(() => hasStopped)
        app = await start()
      }
      const numbers = fails.map((_, n) => n)
      const dead = async () => (await app.deadLetters.list({ state: 'dead' })).documents
      const done = async () => (await app.store.readLogPage({ after: 0, limit: 1_000 })).map(({ data }) => (data as Item).n)
      await world.until(async () => (await dead()).length + (await done()).length >= fails.length)
      await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
      // What was sent on twice would show itself by now.
      const untilMs = world.clock.now() + 1_500
      await world.until(() => world.clock.now() >= untilMs)

      expect((await done()).toSorted((a, b) => a - b)).toEqual(numbers.filter((n) => fails[n]! < 3))
      const letters = await dead()
      expect(letters.map(({ message }) => (message!.data as Item).n).toSorted((a, b) => a - b)).toEqual(
        numbers.filter((n) => fails[n]! >= 3),
      )
      for (const { attempts, history, origin } of letters) {
        expect([attempts, history.length]).toEqual([3, 3])
        expect(origin).toMatchObject({ topic: 't' })
      }
      await app.stop()
    }),
    { numRuns: 25 },
  )
})
