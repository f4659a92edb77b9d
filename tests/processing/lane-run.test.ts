import { describe, expect, test } from 'vitest'
import { defineCircuitBreaker } from '../../src/processing/circuit-breaker.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import { memory } from '../support/memory-driver.ts'
import { aroundCommits } from '../support/wrapped-storage.ts'
import { BrokerModel } from './broker-model.ts'
import { actionFor, LaneWorld } from './lane-world.ts'

const sent = (count: number, keys = count) => Array.from({ length: count }, (_, n) => ({ key: `k${n % keys}`, n, id: `m${n}` }))
const doneCount = async (world: LaneWorld) => Object.values(await world.done()).flat().length

describe('a run in lanes', () => {
  test('what one handler emits wrongly fails alone, and does not spoil the commit of the others', async () => {
    const world = await LaneWorld.open()
    const broker = new BrokerModel('log', () => 100)
    broker.send(sent(40))
    const stream = ({ data }: { readonly data: { readonly n: number } }) =>
      data.n === 3 ? 'x'.repeat(1_000) : data.n === 4 ? '' : 'done:1'
    const run = await world.begin(
      () => broker.source(),
      { stream, whenExhausted: 'dead-letter' },
      ({ data }, { emit }) => {
        const done = { type: 'Done' as const, data, id: data.n === 5 ? 'twice' : `d${data.n}` }
        if (data.n === 6) emit(...([] as never[]))
        else if (data.n === 5) emit(done, done)
        else emit(done)
      },
    )
    await world.until(async () => (await world.checkpoint()) === 40)
    expect((await world.letters()).map(({ position, error }) => [position, error?.code])).toEqual([
      [4, 'invalid-event'],
      [5, 'invalid-event'],
      [6, 'invalid-event'],
    ])
    expect(await doneCount(world)).toBe(36)
    await run.stop()
  })

  test('a store that fails while a probe is under way does not leave the breaker shut for ever', async () => {
    let isBroken = false
    const storage = aroundCommits(memory(), (sets, commit) => (isBroken ? Promise.reject(new Error('disk full')) : commit(sets)))
    const world = await LaneWorld.open(storage)
    const breaker = defineCircuitBreaker('bank', { leastCalls: 2, window: 2, openMs: 1_000, probes: 1 })
    const options = { breaker, concurrency: 1, retry: { firstMs: 100, maxMs: 100 } }
    const broker = new BrokerModel('log', () => 100)
    broker.send(sent(5))
    let isDown = true
    const work = (): void => {
      if (isDown) throw new Error('closed')
    }
    const first = await world.begin(() => broker.source(), options, work)
    await world.until(() => breaker.state === 'open', 1)
    await world.steps(50, 1)
    isBroken = true
    // The next probe is announced first, which fails.
    await world.steps(50, 500)
    isBroken = false
    isDown = false
    await first.stop()
    const second = await world.begin(() => broker.source(), options, work)
    await world.until(() => breaker.state === 'closed')
    await world.until(async () => (await world.letters()).length === 0)
    await second.stop()
  })

  test.each([
    ['a message that has failed', { calls: 2, retry: { firstMs: 10, maxMs: 10 } }],
    ['a new message', { calls: 1, whenExhausted: 'dead-letter', retry: { attempts: 1 } }],
  ] as const)('a probe with %s that is stopped lets another one probe', async (_name, { calls, ...failing }) => {
    const world = await LaneWorld.open()
    const breaker = defineCircuitBreaker('bank', { leastCalls: calls, window: calls, openMs: 100, probes: 1 })
    const broker = new BrokerModel('log', () => 100)
    broker.send(sent(3))
    const options = { breaker, concurrency: 1, ...failing }
    let how: 'fail' | 'hang' | 'succeed' = 'fail'
    const work = (_: unknown, { signal }: { readonly signal: AbortSignal }): void | Promise<void> => {
      if (how === 'fail') throw new Error('closed')
      return how === 'hang' ? world.clock.sleep(20_000, signal).then(() => Promise.reject(new Error('stopped'))) : undefined
    }
    const first = await world.begin(() => broker.source(), options, work)
    await world.until(() => breaker.state === 'open', 1)
    how = 'hang'
    await world.until(() => breaker.state === 'half-open', 50)
    await first.stop()
    how = 'succeed'
    const second = await world.begin(() => broker.source(), options, work)
    await world.until(() => breaker.state === 'closed')
    await second.stop()
  })

  test('what an operator asks for is done by the next run when the first one could not', async () => {
    let isBroken = false
    const storage = aroundCommits(memory(), (sets, commit) => (isBroken ? Promise.reject(new Error('disk full')) : commit(sets)))
    const world = await LaneWorld.open(storage)
    const broker = new BrokerModel('log', () => 100)
    broker.send(sent(2, 1))
    let isDown = true
    const work = (): void => {
      if (isDown) throw new PermanentError('never')
    }
    const first = await world.begin(() => broker.source(), {}, work)
    await world.until(async () => (await world.letters()).length === 2)
    const action = actionFor((await world.letters())[0]!, 'retry', 'a1')
    isBroken = true
    first.run.act(action)
    await world.steps(50, 10)
    isBroken = false
    isDown = false
    await first.stop()
    const second = await world.begin(() => broker.source(), {}, work)
    await world.until(async () => {
      // As whoever looks for actions does, again and again.
      second.run.act(action)
      return (await world.answered('a1'))?.state === 'done'
    })
    second.run.act(action)
    await world.until(async () => (await world.letters()).length === 0)
    await second.stop()
  })

  test('an edit that crosses a retry does not bring back what was handled, whichever was there first', async () => {
    for (let turns = 0; turns < 30; turns++) {
      const world = await LaneWorld.open()
      const broker = new BrokerModel('log', () => 100)
      broker.send(sent(1))
      let isDown = true
      const run = await world.begin(
        () => broker.source(),
        { retry: { firstMs: 60_000, maxMs: 60_000 } },
        () => {
          if (isDown) throw new Error('not now')
        },
      )
      await world.until(async () => (await world.letters()).length === 1, 1)
      isDown = false
      const [letter] = await world.letters()
      const edited = actionFor(letter!, 'edit', 'a1', { data: { key: 'k0', n: 1 } })
      if (turns % 2 === 0) run.run.act(edited)
      run.run.act(actionFor(letter!, 'retry', 'a2'))
      await world.steps(turns >> 1, 0)
      if (turns % 2 === 1) run.run.act(edited)
      run.run.act(actionFor(letter!, 'retry', 'a3'))
      await world.until(async () => (await world.answered('a1')) !== undefined && (await world.answered('a2')) !== undefined)
      await world.until(async () => (await world.checkpoint()) === 1 && (await world.letters()).length === run.run.heldCount)
      const left = await world.letters()
      await run.stop()
      // What is left is what is held; a run that comes later finds the same.
      const again = await world.begin(
        () => broker.source(),
        {},
        () => {},
      )
      expect(again.run.heldCount).toBe(left.length)
      await again.stop()
    }
  })

  test('what an operator asks for is done once, however often it is handed over', async () => {
    const world = await LaneWorld.open()
    const broker = new BrokerModel('log', () => 100)
    broker.send(sent(1))
    let calls = 0
    const run = await world.begin(
      () => broker.source(),
      {},
      () => {
        calls++
        throw new PermanentError('never')
      },
    )
    await world.until(async () => (await world.letters()).length === 1)
    const action = actionFor((await world.letters())[0]!, 'retry', 'a1')
    const isAnswered = async (): Promise<boolean> => {
      run.run.act(action)
      return (await world.answered('a1'))?.state === 'done'
    }
    await world.until(isAnswered, 1)
    // Handed over once more after it was done, as by one who looked before.
    let turns = 0
    await world.until(async () => (await isAnswered()) && ++turns === 20, 1)
    expect(await world.answered('a1')).toMatchObject({ outcome: 'failed' })
    expect(calls).toBe(2)
    await run.stop()
  })

  test('a handler that never ends keeps its key waiting for a while, not for ever', async () => {
    const world = await LaneWorld.open()
    const broker = new BrokerModel('log', () => 100)
    broker.send(sent(2, 1))
    let calls = 0
    const run = await world.begin(
      () => broker.source(),
      { timeoutMs: 100, retry: { firstMs: 10, maxMs: 10 } },
      ({ data }, { emit }) => {
        if (++calls === 1) return new Promise(() => {})
        return emit({ type: 'Done', data } as never)
      },
    )
    await world.until(async () => (await doneCount(world)) === 2, 5_000)
    expect(await world.done()).toEqual({ k0: [0, 1] })
    await run.stop()
  })

  test('large messages: fewer are at hand', async () => {
    const world = await LaneWorld.open()
    const broker = new BrokerModel('log', () => 1_000)
    broker.send(sent(1_000).map((one) => ({ ...one, key: `${one.key}${'x'.repeat(200_000)}` })))
    let running = 0
    let most = 0
    const run = await world.begin(
      () => broker.source(),
      { concurrency: 1_000 },
      async () => {
        most = Math.max(most, ++running)
        await world.clock.sleep(1)
        running--
      },
    )
    await world.until(async () => (await world.checkpoint()) === 1_000)
    expect(most).toBeLessThan(100)
    await run.stop()
  })

  test('ten times as much as can be handled waits where it is, not in memory', async () => {
    const world = await LaneWorld.open()
    let given = 0
    let handled = 0
    let most = 0
    const broker = new BrokerModel('partition', () => {
      most = Math.max(most, given - handled)
      given += 100
      return 100
    })
    broker.send(sent(10_000, 50))
    const run = await world.begin(
      () => broker.source(),
      { concurrency: 10 },
      () => world.clock.sleep(10).then(() => void handled++),
    )
    await world.until(async () => handled >= 3_000, 10)
    expect(most).toBeLessThan(1_200)
    await run.stop()
  })
})
