import { describe, expect, test } from 'vitest'
import { environment } from '../../src/observability/environment.ts'
import { silentLog } from '../../src/observability/log.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import type { QueueLimits } from '../../src/storage/commit-queue.ts'
import { CommitQueue, defaultQueueLimits } from '../../src/storage/commit-queue.ts'
import type { StorageDriver } from '../../src/storage/port.ts'
import type { Committed, EncodedEvent, ExpectedVersion, Verdict, WriteSet } from '../../src/storage/write-set.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { TransientError } from '../support/wrapped-storage.ts'

let ids = 0
function setFor(
  stream: string,
  { expectedVersion = 'any', id = `id-${++ids}`, bytes = 2 }: { expectedVersion?: ExpectedVersion; id?: string; bytes?: number } = {},
): WriteSet {
  const event: EncodedEvent = {
    id,
    source: 's',
    type: 'T',
    schemaVersion: 1,
    timeMs: 0,
    correlationId: id,
    causationId: id,
    data: ' '.repeat(bytes),
    metadata: null,
    tags: [],
  }
  return { appends: [{ stream, expectedVersion, events: [event] }] }
}

const committed: Committed = { status: 'committed', firstPosition: 1, position: 1, versions: [1] }

/** A driver of which only `commit` is asked; it notes its batches by the streams in them. */
class FakeDriver {
  readonly batches: string[][] = []
  /** What is done with a batch, in order; later ones are committed. */
  readonly faults: (((sets: readonly WriteSet[]) => Promise<void> | void) | undefined)[] = []
  always: (sets: readonly WriteSet[]) => Promise<void> | void = () => {}

  async commit(sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
    this.batches.push(sets.map(({ appends }) => appends[0]?.stream ?? ''))
    await this.faults.shift()?.(sets)
    await this.always(sets)
    return sets.map(() => committed)
  }

  isTransient(error: unknown): boolean {
    return error instanceof TransientError
  }
}

function queueOver(
  driver: FakeDriver,
  limits: Partial<QueueLimits> = {},
  clock = new ManualClock(),
): { queue: CommitQueue; metrics: InMemoryMetrics; clock: ManualClock } {
  const metrics = new InMemoryMetrics()
  const queue = new CommitQueue(
    driver as unknown as StorageDriver,
    environment({ clock, metrics, log: silentLog, random: () => 1 }),
    { ...defaultQueueLimits, ...limits },
    1,
  )
  return { queue, metrics, clock }
}

/** A batch that stays in flight until it is let go. */
function hold(driver: FakeDriver): () => void {
  let release = (): void => {}
  driver.faults.push(() => new Promise<void>((resolve) => (release = resolve)))
  return () => release()
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function turnsUntil(done: () => boolean): Promise<void> {
  while (!done()) await turn()
}

describe('the commit queue', () => {
  test('commits together what came while the last batch was in flight', async () => {
    const driver = new FakeDriver()
    const { queue } = queueOver(driver)
    const release = hold(driver)
    const first = queue.commit(setFor('a'))
    await turnsUntil(() => driver.batches.length === 1)
    const others = ['b', 'c', 'd'].map((stream) => queue.commit(setFor(stream)))
    await turn()
    release()
    await Promise.all([first, ...others])
    expect(driver.batches).toEqual([['a'], ['b', 'c', 'd']])
  })

  test('puts sets that depend on each other into different batches, in their order', async () => {
    const driver = new FakeDriver()
    const { queue } = queueOver(driver)
    const sets = [
      setFor('a', { expectedVersion: 0 }),
      setFor('a', { expectedVersion: 1 }),
      setFor('any'),
      setFor('any'),
      setFor('b', { id: 'same' }),
      setFor('c', { id: 'same' }),
      { ...setFor('d'), conditions: [{ query: { items: [{ streams: ['elsewhere'] }] }, after: 0 }] },
      { ...setFor('e'), conditions: [{ query: { items: [{ types: ['Other'] }, { types: ['T'], streams: ['any'] }] }, after: 0 }] },
      setFor('a', { expectedVersion: 2 }),
    ]
    await Promise.all(sets.map((set) => queue.commit(set)))
    expect(driver.batches).toEqual([['a', 'any', 'any', 'b', 'd'], ['a', 'c', 'e'], ['a']])
  })

  test('keeps batches within bounds, and lets a set that is larger go alone', async () => {
    const driver = new FakeDriver()
    const { queue } = queueOver(driver, { maxBatchSets: 3, maxBatchBytes: 100 })
    const sets = [
      setFor('a', { bytes: 500 }),
      setFor('b', { bytes: 60 }),
      setFor('c', { bytes: 60 }),
      setFor('d'),
      setFor('e'),
      setFor('f'),
    ]
    await Promise.all(sets.map((set) => queue.commit(set)))
    expect(driver.batches).toEqual([['a'], ['b'], ['c', 'd', 'e'], ['f']])
  })

  test('finds the set that breaks its batch, which fails alone', async () => {
    const driver = new FakeDriver()
    const { queue, metrics } = queueOver(driver)
    driver.always = (sets) => {
      if (sets.some(({ appends }) => appends[0]?.stream === 'bad')) throw new Error('invalid byte sequence')
    }
    const streams = ['a', 'b', 'bad', 'c', 'd', 'e', 'f']
    const outcomes = await Promise.allSettled(streams.map((stream) => queue.commit(setFor(stream))))
    expect(outcomes.map(({ status }) => status === 'fulfilled')).toEqual(streams.map((stream) => stream !== 'bad'))
    expect(outcomes[2]).toMatchObject({ reason: { code: 'storage', cause: { message: 'invalid byte sequence' } } })
    expect(metrics.value('headwater_commit_bisections_total')).toBeGreaterThan(0)
  })

  test('tries again what failed for a transient reason, with the same sets, and growing pauses', async () => {
    const driver = new FakeDriver()
    const { queue, metrics, clock } = queueOver(driver)
    const fail = (): void => {
      throw new TransientError('connection lost')
    }
    driver.faults.push(fail, fail)
    const outcome = queue.commit(setFor('a'))
    await turnsUntil(() => clock.sleeping === 1)
    await clock.advance(10)
    await turnsUntil(() => clock.sleeping === 1)
    await clock.advance(19)
    expect(driver.batches).toHaveLength(2)
    await clock.advance(1)
    expect(await outcome).toEqual(committed)
    expect(metrics.value('headwater_commit_retries_total')).toBe(2)
  })

  test('gives up after a time, and says that the outcome is not known', async () => {
    const driver = new FakeDriver()
    const { queue, clock } = queueOver(driver, { retryForMs: 1_000 })
    driver.always = () => {
      throw new TransientError('no route to host')
    }
    const outcome = queue.commit(setFor('a')).catch((error: unknown) => error)
    const done = new AbortController()
    void outcome.finally(() => done.abort())
    while (!done.signal.aborted) {
      await turn()
      await clock.advance(200)
    }
    expect(await outcome).toMatchObject({ code: 'store-unavailable', cause: { message: 'no route to host' } })
  })

  test('makes producers wait while it is full, and counts it', async () => {
    const driver = new FakeDriver()
    const { queue, metrics } = queueOver(driver, { maxQueuedSets: 2 })
    const release = hold(driver)
    const first = queue.commit(setFor('a'))
    await turnsUntil(() => driver.batches.length === 1)
    const others = ['b', 'c', 'd', 'e'].map((stream) => queue.commit(setFor(stream)))
    await turn()
    expect(metrics.value('headwater_commit_queue_waits_total')).toBe(2)
    release()
    await Promise.all([first, ...others])
    expect(driver.batches.flat()).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  test('refuses producers while it is full, if they want to be told, but never a processor', async () => {
    const driver = new FakeDriver()
    const { queue } = queueOver(driver, { maxQueuedSets: 2, whenFull: 'refuse' })
    const release = hold(driver)
    const first = queue.commit(setFor('a'))
    await turnsUntil(() => driver.batches.length === 1)
    const others = ['b', 'c'].map((stream) => queue.commit(setFor(stream)))
    await expect(queue.commit(setFor('d'))).rejects.toMatchObject({ code: 'overload', message: '2 writes wait to be committed already' })
    const checkpoint = queue.commit({ appends: [], checkpoint: { processor: 'p', epoch: 1, position: 1 } })
    release()
    expect(await Promise.all([first, ...others, checkpoint])).toEqual([committed, committed, committed, committed])
  })

  test('commits what is queued before it closes, and refuses what comes later', async () => {
    const driver = new FakeDriver()
    const { queue } = queueOver(driver)
    const queued = [queue.commit(setFor('a')), queue.commit(setFor('b'))]
    await queue.close()
    expect(await Promise.all(queued)).toEqual([committed, committed])
    await expect(queue.commit(setFor('c'))).rejects.toMatchObject({ code: 'store-closed' })
  })
})
