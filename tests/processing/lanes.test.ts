import { expect, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import type { Environment } from '../../src/observability/environment.ts'
import { defineCircuitBreaker } from '../../src/processing/circuit-breaker.ts'
import type { HandlerOptions } from '../../src/processing/handler.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import type { Storage } from '../../src/storage/port.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const Asked = defineEvent('Asked', jsonSchema<{ key: string; n: number }>({ type: 'object' }))
const Done = defineEvent('Done', jsonSchema<{ key: string; n: number }>({ type: 'object' }))

type Options = Partial<HandlerOptions<typeof Asked, typeof Done, never>>

function handlerOf(options: Options, work: (key: string, n: number, attempt: number, signal: AbortSignal) => void | Promise<void>) {
  return defineHandler('h', { on: Asked, emits: Done, ...options }, async ({ data }, { emit, attempt, signal }) => {
    await work(data.key, data.n, attempt, signal)
    emit(Done(data))
  })
}

async function run(storage: Storage, handler: ReturnType<typeof handlerOf>, environment: Partial<Environment> = {}) {
  const app = await startForTest(defineService('s', { handlers: [handler] }), { storage, ...environment })
  const ask = (...asked: readonly (readonly [key: string, n: number])[]) =>
    app.store.appendAll(asked.map(([key, n]) => ({ stream: `asked:${key}`, events: Asked({ key, n }) })))
  /** The numbers done of each key, in the order of the log. */
  const done = async (): Promise<Record<string, number[]>> => {
    const byKey: Record<string, number[]> = {}
    for await (const { data } of app.store.readLog({ types: ['Done'] })) {
      const { key, n } = data as { key: string; n: number }
      ;(byKey[key] ??= []).push(n)
    }
    return byKey
  }
  const letters = async () => (await app.deadLetters.list()).documents
  return { app, ask, done, letters }
}

const quick = { firstMs: 1, maxMs: 5 }

describeOnEveryStore('lanes', (fresh) => {
  test('handle messages of one key in order, those of different keys beside each other', async () => {
    let running = 0
    let most = 0
    const handler = handlerOf({ concurrency: 4 }, async (_key, n) => {
      most = Math.max(most, ++running)
      await new Promise((resolve) => setTimeout(resolve, n % 3))
      running--
    })
    const { ask, done } = await run(await fresh(), handler)
    for (let n = 0; n < 20; n++) await ask(...['a', 'b', 'c', 'd', 'e', 'f'].map((key) => [key, n] as const))
    const numbers = Array.from({ length: 20 }, (_, n) => n)
    await eventually(async () =>
      expect(await done()).toEqual(Object.fromEntries(['a', 'b', 'c', 'd', 'e', 'f'].map((key) => [key, numbers]))),
    )
    expect(most).toBe(4)
  })

  test('try a message again, with later ones of its key behind it, while other keys go on', async () => {
    const attempts: number[] = []
    let broken = true
    const handler = handlerOf({ retry: quick }, (key, n, attempt) => {
      if (key !== 'a' || n !== 1) return
      attempts.push(attempt)
      if (broken) throw new Error('not now')
    })
    const { ask, done } = await run(await fresh(), handler)
    await ask(['a', 0], ['a', 1], ['b', 1], ['a', 2])
    await ask(['b', 2], ['a', 3])
    await eventually(async () => expect(await done()).toEqual({ a: [0], b: [1, 2] }))
    await eventually(() => expect(attempts.length).toBeGreaterThan(2))
    broken = false
    await eventually(async () => expect(await done()).toEqual({ a: [0, 1, 2, 3], b: [1, 2] }))
    expect(attempts.slice(0, 3)).toEqual([1, 2, 3])
  })

  test('park what was tried in vain, and what is behind it, until an operator has it tried again', async () => {
    let broken = true
    const handler = handlerOf({ retry: { ...quick, attempts: 3 } }, (key, n) => {
      if (broken && key === 'a' && n === 1) throw new Error('account 4711 is closed')
    })
    const { app, ask, done, letters } = await run(await fresh(), handler)
    await ask(['a', 1], ['a', 2], ['b', 1])
    await eventually(async () =>
      expect(await letters()).toMatchObject([
        {
          state: 'parked',
          type: 'Asked',
          key: 'asked:a',
          attempts: 3,
          position: 1,
          error: { name: 'Error', message: 'Error: account 4711 is closed' },
        },
        { state: 'waiting', position: 2, error: null },
      ]),
    )
    await ask(['a', 3])
    await eventually(async () => expect(await letters()).toHaveLength(3))
    const [parked] = await letters()
    expect((await app.deadLetters.get(parked!.id))?.message?.data).toEqual({ key: 'a', n: 1 })
    expect(await app.deadLetters.groups()).toMatchObject([{ failed: 1, waiting: 2, error: 'Error: account 4711 is closed' }])
    expect(await app.deadLetters.retry(parked!.id, { by: 'ada' })).toMatchObject({ state: 'done', outcome: 'failed' })
    broken = false
    expect(await app.deadLetters.retry(parked!.id, { by: 'ada', reason: 'reopened' })).toMatchObject({
      state: 'done',
      outcome: 'succeeded',
    })
    await eventually(async () => expect(await done()).toEqual({ a: [1, 2, 3], b: [1] }))
    await eventually(async () => expect(await letters()).toEqual([]))
    expect(await app.deadLetters.actions()).toMatchObject([{ by: 'ada', reason: 'reopened', outcome: 'succeeded' }, { outcome: 'failed' }])
  })

  test('go on after a restart with what was parked and what waits, in order', async () => {
    const storage = await fresh()
    const first = await run(
      storage,
      handlerOf({ retry: { ...quick, attempts: 2 } }, (key) => {
        if (key === 'a') throw new Error('broken')
      }),
    )
    await first.ask(['a', 1], ['a', 2], ['b', 1])
    await eventually(async () => expect(await first.letters()).toMatchObject([{ state: 'parked' }, { state: 'waiting' }]))
    await first.app.stop()
    const second = await run(
      storage,
      handlerOf({}, () => {}),
    )
    await second.ask(['a', 3], ['b', 2])
    await eventually(async () => expect(await second.done()).toEqual({ b: [1, 2] }))
    await eventually(async () => expect(await second.letters()).toHaveLength(3))
    await second.app.deadLetters.retry((await second.letters())[0]!.id, { by: 'ada' })
    await eventually(async () => expect(await second.done()).toEqual({ b: [1, 2], a: [1, 2, 3] }))
  })

  test('count attempts on after a restart', async () => {
    const storage = await fresh()
    const first = await run(
      storage,
      handlerOf({ retry: { attempts: 5, firstMs: 60_000, maxMs: 60_000 } }, () => {
        throw new Error('broken')
      }),
      // The pause is random: here always the whole minute, so that no attempt is made but those asked for.
      { random: () => 1 },
    )
    await first.ask(['a', 1])
    await eventually(async () => expect(await first.letters()).toMatchObject([{ state: 'retrying', attempts: 1 }]))
    const [letter] = await first.letters()
    expect(await first.app.deadLetters.retry(letter!.id, { by: 'ada' })).toMatchObject({ outcome: 'failed' })
    await first.app.stop()
    const attempts: number[] = []
    const second = await run(
      storage,
      handlerOf({}, (_key, _n, attempt) => void attempts.push(attempt)),
    )
    await eventually(async () => expect(await second.letters()).toHaveLength(1))
    expect(await second.app.deadLetters.retry(letter!.id, { by: 'ada' })).toMatchObject({ outcome: 'succeeded' })
    expect(attempts).toEqual([3])
  })

  test('put a permanent failure aside at once; later messages of its key go on, if the handler says so', async () => {
    const attempts: number[] = []
    const handler = handlerOf({ whenExhausted: 'dead-letter', retry: quick }, (_key, n, attempt) => {
      if (n !== 1) return
      attempts.push(attempt)
      throw new PermanentError('never')
    })
    const { app, ask, done, letters } = await run(await fresh(), handler)
    await ask(['a', 1], ['a', 2])
    await eventually(async () => expect(await done()).toEqual({ a: [2] }))
    await eventually(async () => expect(await letters()).toMatchObject([{ state: 'dead', attempts: 1, error: { code: 'permanent' } }]))
    expect(attempts).toEqual([1])
    const [dead] = await letters()
    expect(await app.deadLetters.discard(dead!.id, { by: 'ada', reason: 'test data' })).toMatchObject({
      state: 'done',
      outcome: 'discarded',
    })
    expect(await letters()).toEqual([])
    expect(await app.deadLetters.actions()).toMatchObject([{ kind: 'discard', before: { position: 1 }, reason: 'test data' }])
  })

  test('discard, and count, where that is wanted', async () => {
    const handler = handlerOf({ whenExhausted: 'discard', retry: { ...quick, attempts: 2 } }, (_key, n) => {
      if (n === 1) throw new Error('broken')
    })
    const { ask, done, letters } = await run(await fresh(), handler)
    await ask(['a', 1], ['a', 2])
    await eventually(async () => expect(await done()).toEqual({ a: [2] }))
    await eventually(async () => expect(await letters()).toEqual([]))
  })

  test('handle other data when an operator has edited it, and keep the original', async () => {
    const seen: number[] = []
    const handler = handlerOf({}, (_key, n) => {
      if (n < 0) throw new PermanentError('negative')
      seen.push(n)
    })
    const { app, ask, letters } = await run(await fresh(), handler)
    await ask(['a', -1], ['a', 2])
    await eventually(async () => expect(await letters()).toHaveLength(2))
    const [letter] = await letters()
    expect(await app.deadLetters.edit(letter!.id, { key: 'a', n: 1 }, { by: 'ada', reason: 'a typo' })).toMatchObject({ outcome: 'edited' })
    expect(await app.deadLetters.get(letter!.id)).toMatchObject({
      state: 'parked',
      message: { data: { n: 1 } },
      edit: { by: 'ada', reason: 'a typo', original: { n: -1 } },
    })
    expect(await app.deadLetters.retry(letter!.id, { by: 'ada' })).toMatchObject({ outcome: 'succeeded' })
    await eventually(() => expect(seen).toEqual([1, 2]))
  })

  test('give a handler up that takes too long, and call it again only when it has ended', async () => {
    const events: string[] = []
    const handler = handlerOf({ timeoutMs: 30, retry: quick }, async (_key, _n, attempt, signal) => {
      events.push(`begin ${attempt}`)
      if (attempt === 1) await new Promise<void>((resolve) => signal.addEventListener('abort', () => setTimeout(resolve, 50)))
      events.push(`end ${attempt}`)
    })
    const { ask, done } = await run(await fresh(), handler)
    await ask(['a', 1])
    await eventually(async () => expect(await done()).toEqual({ a: [1] }))
    expect(events).toEqual(['begin 1', 'end 1', 'begin 2', 'end 2'])
  })

  test('do not call while the breaker is open, and probe before they go on', async () => {
    let broken = true
    let calls = 0
    const breaker = defineCircuitBreaker('bank', { leastCalls: 4, window: 4, openMs: 50, probes: 1 })
    const handler = handlerOf({ breaker, concurrency: 1, retry: quick }, () => {
      calls++
      if (broken) throw new Error('the bank is closed')
    })
    const { ask, done } = await run(await fresh(), handler)
    await ask(...Array.from({ length: 50 }, (_, n) => [`k${n}`, n] as const))
    await eventually(() => expect(breaker.state).toBe('open'))
    expect(calls).toBeLessThan(8)
    broken = false
    await eventually(async () => expect(Object.keys(await done())).toHaveLength(50))
    expect(breaker.state).toBe('closed')
  })

  test('at most once: what fails is not tried again', async () => {
    const seen: number[] = []
    const handler = handlerOf({ delivery: 'at-most-once' }, (_key, n) => {
      seen.push(n)
      if (n === 1) throw new Error('broken')
    })
    const { app, ask, done, letters } = await run(await fresh(), handler)
    await ask(['a', 1], ['a', 2])
    await eventually(async () => expect(await done()).toEqual({ a: [2] }))
    expect(seen).toEqual([1, 2])
    expect(await letters()).toEqual([])
    await eventually(() => expect(app.status().processors[0]).toMatchObject({ state: 'live' }))
  })

  test('one key among many that fails holds nobody up', async () => {
    const handler = handlerOf({ retry: { attempts: 100, ...quick } }, (key) => {
      if (key === 'k7') throw new Error('poison')
    })
    const { app, ask, done } = await run(await fresh(), handler)
    for (let round = 0; round < 10; round++) await ask(...Array.from({ length: 100 }, (_, n) => [`k${n}`, round] as const))
    await eventually(async () => expect(Object.values(await done()).flat()).toHaveLength(990))
    await eventually(async () => expect((await app.store.driver.processors.list())[0]?.position).toBeGreaterThanOrEqual(1_000))
  })

  test('redrive: one, then ten, then the rest, and stop when it fails again', async () => {
    let broken: 'all' | 'some' | 'none' = 'all'
    const handler = handlerOf({}, (_key, n) => {
      if (broken === 'all' || (broken === 'some' && n >= 20)) throw new PermanentError('broken')
    })
    const { app, ask, letters } = await run(await fresh(), handler)
    await ask(...Array.from({ length: 60 }, (_, n) => [`k${n}`, n] as const))
    await eventually(async () => expect(await letters()).toHaveLength(60))
    const [group] = await app.deadLetters.groups()
    expect(group).toMatchObject({ failed: 60, waiting: 0 })
    const { fingerprint } = group!
    expect(await app.deadLetters.redrive({ fingerprint }, { by: 'ada' })).toMatchObject({
      retried: 1,
      failed: 1,
      stopped: expect.stringContaining('failed again') as string,
    })
    broken = 'some'
    expect(await app.deadLetters.redrive({ fingerprint }, { by: 'ada', perSecond: 10_000 })).toMatchObject({
      retried: 60,
      succeeded: 20,
      failed: 40,
    })
    broken = 'none'
    expect(await app.deadLetters.redrive({ fingerprint }, { by: 'ada', perSecond: 10_000 })).toEqual({
      retried: 40,
      succeeded: 40,
      failed: 0,
      stopped: undefined,
    })
    expect(await letters()).toEqual([])
  })
})
