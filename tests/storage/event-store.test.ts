import { describe, expect, onTestFinished, test } from 'vitest'
import type { NewEvent, RecordedEvent } from '../../src/message/event.ts'
import { uuidv7 } from '../../src/message/id.ts'
import type { Storage } from '../../src/storage/port.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { describeOnEveryStore } from '../support/stores.ts'
import { aroundCommits, TransientError } from '../support/wrapped-storage.ts'

async function openForTest(storage: Storage): Promise<EventStore> {
  const store = await EventStore.open(storage)
  onTestFinished(() => store.close())
  return store
}

async function collect(events: AsyncIterable<RecordedEvent>): Promise<readonly RecordedEvent[]> {
  const all: RecordedEvent[] = []
  for await (const event of events) all.push(event)
  return all
}

const happened = (n: number): NewEvent => ({ type: 'Happened', data: { n }, id: uuidv7() })

describeOnEveryStore('the event store', (fresh) => {
  test('appends once, though the acknowledgement was lost and the append repeated', async () => {
    let losses = 1
    const store = await openForTest(
      aroundCommits(await fresh(), async (sets, commit) => {
        const verdicts = await commit(sets)
        if (losses-- > 0) throw new TransientError('the connection broke after the commit')
        return verdicts
      }),
    )
    expect(await store.append('s:1', [happened(1), happened(2)])).toEqual({ position: 2, firstPosition: 1, version: 2, duplicate: true })
    expect(await store.append('s:1', happened(3), { expectedVersion: 2 })).toMatchObject({ position: 3, duplicate: false })
    expect((await collect(store.readStream('s:1'))).map(({ data }) => data)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
  })

  test('returns the first result to a caller who repeats an append, whatever it expects', async () => {
    const store = await openForTest(await fresh())
    const events = [happened(1), happened(2)]
    const first = await store.append('s:1', events, { expectedVersion: 'no-stream' })
    await store.append('s:1', happened(3))
    expect(await store.append('s:1', events, { expectedVersion: 'no-stream' })).toEqual({ ...first, duplicate: true })
    expect((await store.log()).head).toBe(3)
  })

  test('refuses an id that was used for another stream, payload, or only a part of the events', async () => {
    const store = await openForTest(await fresh())
    const event = happened(1)
    await store.append('s:1', event)
    await expect(store.append('s:2', event)).rejects.toThrow(/at position 1 with another stream/)
    await expect(store.append('s:1', { ...event, data: { n: 2 } })).rejects.toThrow(/another payload/)
    await expect(store.append('s:1', [event, happened(2)])).rejects.toMatchObject({ code: 'id-reused' })
    expect((await store.append('s:1', { ...event, source: 'elsewhere' })).duplicate).toBe(false)
  })

  test('fails one caller for a bad payload or name, before it is queued', async () => {
    const store = await openForTest(await fresh())
    const bad: readonly [string, NewEvent][] = [
      ['s:1', { type: 'T', data: 'a\u0000b' }],
      ['s:1', { type: 'T', data: { deep: [{ text: '\ud800' }] } }],
      ['s:1', { type: 'T', data: { n: Number.POSITIVE_INFINITY } }],
      ['s:1', { type: 'T', data: 'x'.repeat(1024 * 1024) }],
      ['s:1', { type: 'T', data: undefined }],
      ['s:1', { type: '', data: {} }],
      ['s'.repeat(3_000), { type: 'T', data: {} }],
      ['s\n1', { type: 'T', data: {} }],
    ]
    const outcomes = await Promise.allSettled([
      ...bad.map(([stream, event]) => store.append(stream, event)),
      ...Array.from({ length: 20 }, (_, n) => store.append('s:1', happened(n))),
    ])
    expect(
      outcomes
        .slice(0, bad.length)
        .map((outcome) => (outcome.status === 'rejected' ? (outcome.reason as { code: string }).code : 'stored')),
    ).toEqual(bad.map(() => 'invalid-event'))
    expect(outcomes.slice(bad.length).every(({ status }) => status === 'fulfilled')).toBe(true)
    await expect(store.append('s:1', { type: 'T', data: { deep: [{ text: '\ud800' }] } })).rejects.toThrow(/data\.deep\.0\.text/)
  })

  test('keeps harmless look-alikes of what databases refuse', async () => {
    const store = await openForTest(await fresh())
    const data = { a: '\\u0000', b: null, c: '😀', d: 'null', e: [null] }
    await store.append('s:1', { type: 'T', data })
    expect((await collect(store.readStream('s:1')))[0]?.data).toEqual(data)
  })

  test('judges many appends of one moment each for itself', async () => {
    const store = await openForTest(await fresh())
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, n) => store.append(`s:${n % 20}`, happened(n), { expectedVersion: n < 40 ? 'no-stream' : 'any' })),
    )
    const refused = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [outcome.reason as { code: string; actual: number }] : [],
    )
    // Of two who each want to begin a stream one wins, unless the one who does not care came first.
    expect(refused.length).toBeGreaterThanOrEqual(20)
    expect(refused.every(({ code, actual }) => code === 'version-conflict' && actual > 0)).toBe(true)
    const log = await collect(store.readLog({ pageSize: 7 }))
    expect(log.map(({ position }) => position)).toEqual(Array.from({ length: 60 - refused.length }, (_, index) => index + 1))
  })

  test('appends to several streams, or to none of them', async () => {
    const store = await openForTest(await fresh())
    const both = (version: number) =>
      store.appendAll([
        { stream: 'a:1', events: happened(1), expectedVersion: version },
        { stream: 'b:1', events: [happened(2), happened(3)], expectedVersion: 'no-stream' },
      ])
    await expect(both(1)).rejects.toMatchObject({ code: 'version-conflict', stream: 'a:1', expected: 1, actual: 0 })
    expect((await store.log()).head).toBe(0)
    expect(await both(0)).toMatchObject({ firstPosition: 1, position: 3, version: 1 })
  })

  test('refuses an append whose condition an event has broken', async () => {
    const store = await openForTest(await fresh())
    const { position } = await store.append('a:1', { type: 'Reserved', data: {}, tags: ['seat:1'] })
    const condition = { query: { items: [{ tags: ['seat:1'] }] }, after: 0 }
    await expect(store.append('b:1', happened(1), { condition })).rejects.toMatchObject({ code: 'condition-failed', position })
    await store.append('b:1', happened(1), { condition: { ...condition, after: position } })
    const race = await Promise.allSettled(
      Array.from({ length: 5 }, (_, n) =>
        store.append(`c:${n}`, { type: 'Reserved', data: {}, tags: ['seat:1'] }, { condition: { ...condition, after: position } }),
      ),
    )
    expect(race.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('reads streams in pages, both ways, within bounds', async () => {
    const store = await openForTest(await fresh())
    await store.append(
      's:1',
      Array.from({ length: 25 }, (_, n) => happened(n + 1)),
    )
    const versions = async (options: Parameters<EventStore['readStream']>[1]): Promise<readonly number[]> =>
      (await collect(store.readStream('s:1', { pageSize: 4, ...options }))).map(({ version }) => version)
    expect(await versions({})).toEqual(Array.from({ length: 25 }, (_, n) => n + 1))
    expect(await versions({ direction: 'backwards' })).toEqual(Array.from({ length: 25 }, (_, n) => 25 - n))
    expect(await versions({ fromVersion: 20, toVersion: 23 })).toEqual([20, 21, 22, 23])
    expect(await versions({ direction: 'backwards', fromVersion: 6, toVersion: 3 })).toEqual([6, 5, 4, 3])
    expect(await versions({ limit: 6 })).toEqual([1, 2, 3, 4, 5, 6])
    expect(await versions({ direction: 'backwards', limit: 5 })).toEqual([25, 24, 23, 22, 21])
  })
})

describe('a log with a hole', () => {
  test('is not read beyond it', async () => {
    const { freshSqlite } = await import('../support/stores.ts')
    const store = await openForTest(await freshSqlite())
    for (let n = 1; n <= 5; n++) await store.append('s:1', happened(n))
    await store.driver.transaction((sql) => sql.query('delete from headwater_events where position = 3'))
    await expect(collect(store.readLog())).rejects.toMatchObject({ code: 'log-gap' })
    await expect(collect(store.readLog())).rejects.toThrow('from position 2 to 4: 3 is missing')
  })
})
