import { statSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import type { EventStore } from '../src/storage/event-store.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { percentile, ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { streamAt } from './harness/order-log.ts'
import { newStreams, orderPlaced } from './harness/orders.ts'
import type { Place, StoreName } from './harness/place.ts'
import { onPostgres, openStore } from './harness/place.ts'
import type { Load } from './harness/rounds.ts'
import { steadyLoad, takeTurns } from './harness/rounds.ts'

export const growth: Benchmark = {
  name: 'growth',
  about:
    'what appends and reads cost with 0.1, 10 (and --large: 50) million events in the log, over a whole checkpoint cycle; bytes an event',
  async *run(lab) {
    for (const store of lab.stores) yield* measure(lab, store)
  },
}

/** So few that the log hardly grows meanwhile, and far below what the store can do: the pauses are what counts. */
const appendsPerSecond = 1_000
const small = 100_000

async function* measure(lab: Lab, store: StoreName): AsyncIterable<Section> {
  const sizes = [small, ...(lab.quick ? [1_000_000] : [10_000_000]), ...(lab.large ? [50_000_000] : [])]
  const places = new Map<number, Place>()
  for (const events of sizes) places.set(events, await lab.orderLog(store, events, { own: true }))
  await using stores = new AsyncDisposableStack()
  const opened = new Map<number, EventStore>()
  for (const [events, place] of places) opened.set(events, stores.use(await openStore(place)))

  const contestants = (measureOne: (store: EventStore, events: number) => Promise<Load>) =>
    Object.fromEntries(sizes.map((events) => [nameOf(events), () => measureOne(opened.get(events)!, events)]))
  const appends = await takeTurns(
    contestants((target) => checkpointCycle(lab, target)),
    lab.quick ? 2 : 5,
  )
  const [first, ...others] = figuresOf(appends, 'p99Ms') as [Figure, ...Figure[]]
  yield {
    title: `append, ${appendsPerSecond.toLocaleString('en')} a second, over a checkpoint`,
    store,
    figures: [...figuresOf(appends, 'p50Ms'), first, ...others, ...others.map((other) => ratio(other, first, { atMost: 1.3 }))],
  }

  for (const [title, read] of readings) {
    const reads = await takeTurns(
      contestants((target, events) => timeReads(lab, () => read(target, events))),
      lab.quick ? 2 : 5,
    )
    const [little, ...more] = figuresOf(reads, 'p50Ms') as [Figure, ...Figure[]]
    yield { title, store, figures: [little, ...more, ...figuresOf(reads, 'p99Ms'), ...more.map((other) => ratio(other, little))] }
  }
  for (const [events, place] of places) {
    const figures = place.store === 'postgres' ? await postgresBytes(place.url) : sqliteBytes(place.path)
    yield { title: `bytes an event, ${nameOf(events)}`, store, figures }
  }
}

const readings: readonly (readonly [string, (store: EventStore, events: number) => Promise<unknown>])[] = [
  [
    'read a stream of ten events',
    (store, events) => store.driver.readStream({ stream: streamAt(anywhere(events)), direction: 'forwards', limit: 100 }),
  ],
  ['read 500 events of the log', (store, events) => store.readLogPage({ after: anywhere(events - 500), limit: 500 })],
  [
    'read 500 events of one type',
    (store, events) => store.readLogPage({ after: anywhere(events - 10_000), types: ['OrderPaid'], limit: 500 }),
  ],
]

function anywhere(events: number): number {
  return 1 + Math.floor(Math.random() * (events - 1))
}

function nameOf(events: number): string {
  return `${events.toLocaleString('en')} events`
}

function figuresOf(turns: Readonly<Record<string, readonly Load[]>>, part: 'p50Ms' | 'p99Ms'): readonly Figure[] {
  return Object.entries(turns).map(([name, loads]) => ({
    name: `${name}, ${part.slice(0, 3)}`,
    unit: 'ms',
    samples: loads.map((load) => load[part]),
  }))
}

/** From a checkpoint, after which whole pages go to the write-ahead log, to well after the next one. SQLite makes its own checkpoints. */
async function checkpointCycle(lab: Lab, store: EventStore): Promise<Load> {
  const cycleMs = lab.quick ? 3_000 : 15_000
  await lab.checkpoint()
  const halfway = new Promise((resolve) => setTimeout(resolve, cycleMs / 2)).then(() => lab.checkpoint())
  const load = await steadyLoad(appendsPerSecond, cycleMs, () =>
    store.append(newStreams(0).stream, orderPlaced(), { expectedVersion: 'no-stream' }),
  )
  await halfway
  return load
}

async function timeReads(lab: Lab, read: () => Promise<unknown>): Promise<Load> {
  const timings: number[] = []
  const count = lab.quick ? 200 : 1_000
  for (let index = 0; index < count; index++) {
    const startedMs = performance.now()
    await read()
    timings.push(performance.now() - startedMs)
  }
  const total = timings.reduce((sum, one) => sum + one, 0)
  return { perSecond: (count * 1_000) / total, p50Ms: percentile(timings, 50), p99Ms: percentile(timings, 99) }
}

async function postgresBytes(url: string): Promise<readonly Figure[]> {
  const rows = await onPostgres<{ readonly name: string; readonly bytes: string }>(
    url,
    `SELECT 'the table' AS name, pg_table_size('headwater.events') AS bytes
     UNION ALL SELECT 'index ' || indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_index WHERE indrelid = 'headwater.events'::regclass
     UNION ALL SELECT 'together', pg_total_relation_size('headwater.events')`,
  )
  const [count] = await onPostgres<{ readonly count: string }>(url, 'SELECT count(*) FROM headwater.events')
  return rows.map(({ name, bytes }) => ({ name, unit: 'bytes', samples: [Number(bytes) / Number(count!.count)] }))
}

function sqliteBytes(path: string): readonly Figure[] {
  const database = new DatabaseSync(path)
  database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  const { count } = database.prepare('SELECT count(*) AS count FROM headwater_events').get() as { readonly count: number }
  const parts = database
    .prepare("SELECT name, pgsize AS bytes FROM dbstat WHERE aggregate = TRUE AND name LIKE 'headwater_events%' ORDER BY name")
    .all() as { readonly name: string; readonly bytes: number }[]
  database.close()
  return [
    ...parts.map(({ name, bytes }) => ({
      name: name === 'headwater_events' ? 'the table' : `index ${name}`,
      unit: 'bytes',
      samples: [bytes / count],
    })),
    { name: 'together', unit: 'bytes', samples: [statSync(path).size / count] },
  ]
}
