import type * as Timers from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import type { Log } from '../../src/observability/log.ts'
import { SequenceStore, prepareSequences } from '../../src/processing/sequence-store.ts'
import type { SequenceOrder } from '../../src/processing/sequences.ts'
import { memory } from '../support/memory-driver.ts'
import type { Sent } from './broker-model.ts'
import { BrokerModel } from './broker-model.ts'
import type { Work } from './lane-world.ts'
import { LaneWorld } from './lane-world.ts'

// The store in memory answers after a turn of the event loop instead of after a millisecond: it needs no time.
vi.mock('node:timers/promises', async (original) => {
  const timers = await original<typeof Timers>()
  return { ...timers, setTimeout: (ms: number) => (ms === 0 ? timers.setImmediate() : timers.setTimeout(ms)) }
})

const message = (key: string, version: number, more: Partial<Sent> = {}): Sent => ({
  key,
  n: version,
  version,
  id: `${key}${version}`,
  ...more,
})
const emitDone: Work = ({ data }, { emit }) => emit({ type: 'Done', data } as never)

async function worldWith(order: Partial<SequenceOrder> = {}) {
  const warnings: unknown[] = []
  const log: Log = (level, text, fields) => void (level === 'warn' && warnings.push({ text, ...fields }))
  const world = await LaneWorld.open(memory(), log)
  const sequenceOrder = { waitMs: 30_000, maxWaiting: 1_000, beginsAnywhere: false, ...order }
  const broker = new BrokerModel('queue', () => 100, { sequenceOrder })
  const begin = () => world.begin(() => broker.source(), {}, emitDone)
  const { processor } = world
  const figures = () => ({
    gaps: world.metrics.value('headwater_sequence_gaps_total', { processor }),
    stale: world.metrics.value('headwater_messages_stale_total', { processor }),
    waiting: world.metrics.value('headwater_sequence_waiting', { processor }),
  })
  /** Lets everything happen that needs no time. */
  const settle = () => world.steps(60, 0)
  return { world, broker, begin, figures, settle, warnings, processor }
}

describe('messages with numbers', () => {
  test('one that is early waits its time and not longer; then what was missed is told, and is stale should it still come', async () => {
    const { world, broker, begin, figures, settle, warnings, processor } = await worldWith()
    const run = await begin()
    broker.send([message('a', 1), message('a', 3), message('b', 1)])
    await settle()
    await world.clock.advance(10_000)
    broker.send([message('a', 4), message('a', 7)])
    await settle()
    await world.clock.advance(19_999)
    await settle()
    expect(await world.done()).toEqual({ a: [1], b: [1] })
    expect(figures()).toEqual({ gaps: 0, stale: 0, waiting: 3 })
    expect(broker.acknowledged).toEqual(new Set(['a1', 'b1']))
    await world.clock.advance(1)
    await settle()
    expect(await world.done()).toEqual({ a: [1, 3, 4], b: [1] })
    expect(figures()).toEqual({ gaps: 1, stale: 0, waiting: 1 })
    // The last one came later, and has as much time.
    await world.clock.advance(9_999)
    await settle()
    expect(figures().gaps).toBe(1)
    await world.clock.advance(1)
    await settle()
    expect(await world.done()).toEqual({ a: [1, 3, 4, 7], b: [1] })
    const gap = { text: 'a gap in a sequence was given up', processor, stream: 'asked:a', reason: 'it did not come in time' }
    expect(warnings).toEqual([
      { ...gap, expected: 2, found: 3 },
      { ...gap, expected: 5, found: 7 },
    ])
    broker.send([message('a', 2)])
    await settle()
    expect(await world.done()).toEqual({ a: [1, 3, 4, 7], b: [1] })
    expect(figures()).toEqual({ gaps: 2, stale: 1, waiting: 0 })
    // What has no effect is committed a little later.
    await world.clock.advance(10)
    await settle()
    expect(broker.acknowledged.has('a2')).toBe(true)
    expect(warnings.at(-1)).toMatchObject({ stream: 'asked:a', number: 2, id: 'a2' })
    await run.stop()
  })

  test('with more than may wait the oldest gap is given up, and only that', async () => {
    const { world, broker, begin, figures, settle } = await worldWith({ maxWaiting: 3 })
    const run = await begin()
    broker.send([message('a', 2), message('b', 2), message('b', 3)])
    await settle()
    expect(figures()).toEqual({ gaps: 0, stale: 0, waiting: 3 })
    broker.send([message('c', 2)])
    await settle()
    expect(await world.done()).toEqual({ a: [2] })
    expect(figures()).toEqual({ gaps: 1, stale: 0, waiting: 3 })
    broker.send([message('b', 1), message('c', 1)])
    await settle()
    expect(await world.done()).toEqual({ a: [2], b: [1, 2, 3], c: [1, 2] })
    await run.stop()
  })

  test('large ones wait only as far as there is memory for them', async () => {
    const { broker, begin, figures, settle } = await worldWith()
    const run = await begin()
    const large = 'x'.repeat(1024 * 1024)
    broker.send(Array.from({ length: 12 }, (_, index) => message(`${large}${index}`, 2)))
    await settle()
    expect(figures()).toEqual({ gaps: 5, stale: 0, waiting: 7 })
    await run.stop()
  })

  test('gaps behind which nobody waits are given up when they become too many, so that what is kept of a stream stays small', async () => {
    const { world, broker, begin, figures, settle } = await worldWith({ maxWaiting: 3 })
    const run = await begin()
    const others = (...versions: readonly number[]) => broker.send(versions.map((version) => message('a', version, { isForOthers: true })))
    others(1, 3, 5, 7)
    await settle()
    expect(figures().gaps).toBe(0)
    others(9)
    await settle()
    expect(figures().gaps).toBe(1)
    // It still waits for 4, 6 and 8, and not for 2.
    broker.send([message('a', 2), message('a', 4), message('a', 6), message('a', 8)])
    await settle()
    expect(await world.done()).toEqual({ a: [4, 6, 8] })
    expect(figures()).toEqual({ gaps: 1, stale: 1, waiting: 0 })
    await run.stop()
  })

  test('a run that stops waits for nobody, and the next one goes on from where it was', async () => {
    const { world, broker, begin, figures, settle } = await worldWith()
    const first = await begin()
    broker.send([message('a', 1), message('a', 2, { isForOthers: true }), message('a', 4), message('b', 2)])
    await settle()
    await first.stop()
    await world.clock.advance(100_000)
    expect(await world.done()).toEqual({ a: [1] })
    const second = await begin()
    broker.send([message('b', 1), message('a', 3)])
    await settle()
    expect(await world.done()).toEqual({ a: [1, 3, 4], b: [1, 2] })
    expect(figures()).toEqual({ gaps: 0, stale: 0, waiting: 0 })
    await second.stop()
  })

  test('a handler that began late takes the first number of a stream for its beginning', async () => {
    const { world, broker, begin, figures, settle } = await worldWith({ beginsAnywhere: true })
    const run = await begin()
    broker.send([message('a', 7), message('a', 9), message('b', 5, { isForOthers: true }), message('b', 6)])
    await settle()
    expect(await world.done()).toEqual({ a: [7], b: [6] })
    broker.send([message('a', 8), message('a', 6)])
    await settle()
    expect(await world.done()).toEqual({ a: [7, 8, 9], b: [6] })
    expect(figures()).toEqual({ gaps: 0, stale: 1, waiting: 0 })
    await run.stop()
  })

  test('those without a number, or with one that cannot be counted on from, are in no order', async () => {
    const { world, broker, begin, figures, settle } = await worldWith()
    const run = await begin()
    broker.send([
      message('a', 2),
      message('a', 0),
      message('a', Number.MAX_SAFE_INTEGER),
      message('a', 0, { id: 'other', n: 5 }),
      message('a', 1),
    ])
    await settle()
    expect(await world.done()).toEqual({ a: [0, Number.MAX_SAFE_INTEGER, 5, 1, 2] })
    expect(figures()).toEqual({ gaps: 0, stale: 0, waiting: 0 })
    await run.stop()
  })

  test('what was handled before numbers counted counts when it comes again', async () => {
    const { world, broker, begin, figures, settle } = await worldWith()
    const unnumbered = new BrokerModel('queue', () => 100)
    unnumbered.send([message('a', 1), message('a', 2)])
    const before = await world.begin(() => unnumbered.source(), {}, emitDone)
    await settle()
    await before.stop()
    expect(await world.store.driver.documents.list('headwater:sequences')).toEqual([])
    const run = await begin()
    broker.send([message('a', 3), message('a', 2), message('a', 1)])
    await settle()
    expect(await world.done()).toEqual({ a: [1, 2, 3] })
    expect(figures()).toEqual({ gaps: 0, stale: 0, waiting: 0 })
    await run.stop()
  })
})

test('of many streams those are forgotten that nobody uses, and are read again', async () => {
  const { store } = await LaneWorld.open()
  await prepareSequences(store)
  const sequences = new SequenceStore('p', store)
  await sequences.load(new Set(['used', 'idle', 'touched']))
  const [used, idle, touched] = ['used', 'idle', 'touched'].map((stream) => sequences.get(stream))
  used!.begin()
  await sequences.load(new Set(Array.from({ length: 9_999 }, (_, index) => `s${index}`)))
  await sequences.load(new Set(['touched', 'another']))
  await sequences.load(new Set(['used', 'idle']))
  expect(sequences.get('used')).toBe(used)
  expect(sequences.get('touched')).toBe(touched)
  expect(sequences.get('idle')).not.toBe(idle)
})
