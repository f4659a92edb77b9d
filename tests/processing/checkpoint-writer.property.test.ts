import fc from 'fast-check'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { RecordedEvent } from '../../src/message/event.ts'
import type { CheckpointState, Effect } from '../../src/processing/checkpoint-writer.ts'
import { CheckpointWriter } from '../../src/processing/checkpoint-writer.ts'
import type { Tenure } from '../../src/processing/processor.ts'
import { Progress } from '../../src/processing/progress.ts'
import { silentLog } from '../../src/observability/log.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import type { WriteSet } from '../../src/storage/write-set.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { eventually } from '../support/eventually.ts'
import { memory } from '../support/memory-driver.ts'
import { aroundCommits } from '../support/wrapped-storage.ts'

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constant('finish' as const), which: fc.nat(), events: fc.integer({ min: 0, max: 4 }) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('turn' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('wait' as const) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('flush' as const) }) },
)
const count = 60

function event(position: number): RecordedEvent {
  const names = { stream: 'asked:1', type: 'Asked', id: `m${position}`, source: 's', correlationId: 'c', causationId: 'c' }
  return { ...names, version: 1, schemaVersion: 1, position, time: new Date(0), data: {}, metadata: {}, tags: [] }
}

/** The messages that are finished according to a checkpoint. */
function finishedIn({ checkpoint }: WriteSet): readonly number[] {
  const { position, state } = checkpoint!
  const progress = new Progress(position, state === undefined ? undefined : (JSON.parse(state) as CheckpointState).progress)
  return Array.from({ length: count }, (_, index) => index + 1).filter((one) => one <= position || progress.wasFinished(one))
}

test('a checkpoint says no more than what is committed, and nothing is reported that is not', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 150 }), fc.nat({ max: 30 }), async (steps, failsAt) => {
      /** Events that each finished message has led to, as planned and as committed. */
      const planned = new Map<number, readonly string[]>()
      const committed = new Set<string>()
      const reported = new Set<string>()
      let commits = 0
      const storage = aroundCommits(memory(), async (sets, commit) => {
        if (++commits === failsAt) throw new Error('the disk is full')
        const verdicts = await commit(sets)
        for (const set of sets) {
          if (!set.checkpoint) continue
          for (const { events } of set.appends) for (const { id } of events) committed.add(id)
          const promised = finishedIn(set).flatMap((position) => planned.get(position) ?? ['a message that was never finished'])
          expect(promised.filter((id) => !committed.has(id))).toEqual([])
          expect(set.appends.reduce((sum, { events }) => sum + events.length, 0)).toBeLessThanOrEqual(5)
        }
        return verdicts
      })
      const clock = new ManualClock()
      const store = await EventStore.open(storage, { clock, log: silentLog, limits: { maxEventsPerAppend: 5 } })
      const claim = await store.driver.processors.claim({ processor: 'p', owner: 'o', ttlMs: 1e12, startAt: 0 })
      if (!claim.claimed) throw new Error('not claimed')
      const progress = new Progress(0, undefined)
      let failure: unknown
      const writer = new CheckpointWriter({
        tenure: { lease: { ...claim, processor: 'p' } } as unknown as Tenure,
        store,
        progress,
        circumstances: () => ({}),
        onCommitted: (effects: readonly Effect[]) => {
          for (const { append } of effects) for (const { id } of append?.events ?? []) reported.add(id)
        },
        onFailed: (error) => (failure = error),
      })
      for (let position = 1; position <= count; position++) progress.begin(position)
      const open = new Set(Array.from({ length: count }, (_, index) => index + 1))
      for (const one of steps)
        switch (one.what) {
          case 'finish': {
            const position = [...open][one.which % open.size]
            if (position === undefined) break
            open.delete(position)
            const ids = Array.from({ length: one.events }, (_, index) => `e${position}.${index}`)
            planned.set(position, ids)
            const events = ids.map((id) => store.encode({ type: 'Done', data: {}, id }))
            writer.add({
              event: event(position),
              ...(events.length > 0 && { append: { stream: 'done:1', expectedVersion: 'any', events } }),
            })
            progress.finish(position)
            break
          }
          case 'turn':
            await nextTurn()
            break
          case 'wait':
            await clock.advance(20)
            break
          case 'flush':
            expect(await writer.flush()).toBe(failure === undefined)
        }
      const isAll = await writer.flush()
      expect(isAll).toBe(failure === undefined)
      if (isAll) for (const ids of planned.values()) for (const id of ids) expect(committed.has(id)).toBe(true)
      expect([...reported].filter((id) => !committed.has(id))).toEqual([])
      if (isAll) expect([...committed].filter((id) => !reported.has(id))).toEqual([])
      await store.close()
    }),
    { numRuns: 60 },
  )
})

test('two messages that lead to the same event make one commit, not none', async () => {
  const store = await EventStore.open(memory(), { log: silentLog })
  const claim = await store.driver.processors.claim({ processor: 'p', owner: 'o', ttlMs: 10_000, startAt: 0 })
  if (!claim.claimed) throw new Error('not claimed')
  const progress = new Progress(0, undefined)
  const writer = new CheckpointWriter({
    tenure: { lease: { ...claim, processor: 'p' } } as unknown as Tenure,
    store,
    progress,
    circumstances: () => ({}),
    onCommitted: () => {},
    onFailed: () => {},
  })
  for (const position of [1, 2, 3]) {
    progress.begin(position)
    const id = position < 3 ? 'the same' : 'another'
    writer.add({
      event: event(position),
      append: { stream: 'done:1', expectedVersion: 'any', events: [store.encode({ type: 'Done', data: {}, id })] },
    })
    progress.finish(position)
  }
  expect(await writer.flush()).toBe(true)
  expect((await store.log()).head).toBe(2)
  expect((await store.driver.processors.list())[0]?.position).toBe(3)
})

test('messages without effect are committed while time stands still, once there are a thousand', async () => {
  const clock = new ManualClock()
  const store = await EventStore.open(memory(), { clock, log: silentLog })
  const claim = await store.driver.processors.claim({ processor: 'p', owner: 'o', ttlMs: 1e12, startAt: 0 })
  if (!claim.claimed) throw new Error('not claimed')
  const progress = new Progress(0, undefined)
  const committed: number[] = []
  const writer = new CheckpointWriter({
    tenure: { lease: { ...claim, processor: 'p' } } as unknown as Tenure,
    store,
    progress,
    circumstances: () => ({}),
    onCommitted: (_, finished) => committed.push(finished),
    onFailed: (error) => expect(error).toBeUndefined(),
  })
  const finish = (position: number): void => {
    progress.begin(position)
    writer.add({ event: event(position) })
    progress.finish(position)
  }
  for (let position = 1; position < 1_000; position++) finish(position)
  for (let turn = 0; turn < 100; turn++) await nextTurn()
  expect(committed).toEqual([])
  finish(1_000)
  await eventually(() => expect(committed).toEqual([1_000]))
  writer.close()
})
