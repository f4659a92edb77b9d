import { expect, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { ManualClock } from '../../../src/testing/manual-clock.ts'
import { TransformTimeoutError } from '../../../src/transport/errors.ts'
import type { TransformContext } from '../../../src/transport/kafka/transform-attempt.ts'
import { TransformAttempt } from '../../../src/transport/kafka/transform-attempt.ts'

function world() {
  const clock = new ManualClock()
  const metrics = new InMemoryMetrics()
  const revoking = new AbortController()
  const parts = { group: 'pricing', timeoutMs: 1_000, environment: environment({ clock, metrics }), revoked: revoking.signal }
  let signal: AbortSignal | undefined
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const begin = () =>
    new TransformAttempt(1, parts).run((context: TransformContext) => {
      signal = context.signal
      return promise
    }) as Promise<string>
  return { begin, clock, metrics, parts, reject, resolve, revoking, signal: () => signal }
}

test('what a transform returns at once is there at once, and what it throws is thrown', () => {
  const { clock, metrics, parts } = world()
  expect(new TransformAttempt(3, parts).run(({ attempt, signal }) => [attempt, signal.aborted])).toEqual([3, false])
  expect(() =>
    new TransformAttempt(1, parts).run(() => {
      throw new Error('no')
    }),
  ).toThrow('no')
  expect(clock.sleeping).toBe(0)
  expect(metrics.durationOf('headwater_handler_duration_ms', { processor: 'transform:pricing' })?.count).toBe(2)
})

test('one that is done in time has nothing to do with the time any more', async () => {
  const { begin, clock, resolve, revoking, signal } = world()
  const returned = begin()
  await clock.advance(999)
  resolve('done')
  expect(await returned).toBe('done')
  expect(clock.sleeping).toBe(0)
  await clock.advance(10_000)
  revoking.abort()
  expect(signal()?.aborted).toBe(false)
})

test('one that takes too long is told, and has failed as soon as it has ended, whatever it returns', async () => {
  for (const endsBy of ['resolve', 'reject'] as const) {
    const { begin, clock, metrics, signal, ...ends } = world()
    const returned = begin()
    let failure: unknown
    returned.catch((error: unknown) => (failure = error))
    await clock.advance(1_000)
    expect(signal()?.reason).toBeInstanceOf(TransformTimeoutError)
    await clock.advance(4_999)
    expect(failure).toBeUndefined()
    ends[endsBy]('late')
    await expect(returned).rejects.toThrow('the transform pricing took longer than 1000 ms')
    expect(metrics.durationOf('headwater_handler_duration_ms', { processor: 'transform:pricing' })?.sumMs).toBe(5_999)
  }
})

test('one that does not react is left behind after five seconds, and its signal stays aborted', async () => {
  const { clock, parts } = world()
  let context: TransformContext | undefined
  const returned = new TransformAttempt(1, parts).run((given) => {
    context = given
    return new Promise(() => {})
  }) as Promise<unknown>
  const failed = expect(returned).rejects.toThrow(TransformTimeoutError)
  await clock.advance(6_000)
  await failed
  expect(context?.signal.reason).toBeInstanceOf(TransformTimeoutError)
})

test('one whose partition is taken away is told', () => {
  const { begin, revoking, signal } = world()
  void begin()
  revoking.abort('taken away')
  expect(signal()?.reason).toBe('taken away')
})
