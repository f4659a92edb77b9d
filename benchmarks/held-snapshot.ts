import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { EventStore } from '../src/storage/event-store.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import type { NextStream } from './harness/orders.ts'
import { orderPlaced, repeatedStreams } from './harness/orders.ts'
import type { Place, StoreName } from './harness/place.ts'
import { openStore } from './harness/place.ts'

export const heldSnapshot: Benchmark = {
  name: 'held-snapshot',
  about: '100,000 appends while somebody keeps an old snapshot of the database open',
  async *run(lab) {
    for (const store of lab.stores) yield await measure(lab, store)
  },
}

const callers = 64
/** Until then more and more pages are written for each commit, as the indexes spread; whether somebody looks on or not. */
const warmUpAppends = 20_000
const rounds = 3

async function measure(lab: Lab, store: StoreName): Promise<Section> {
  const appends = lab.quick ? 20_000 : 100_000
  const starts: number[] = []
  const ends: number[] = []
  for (let round = 0; round < rounds; round++) {
    const place = await lab.place(store)
    await using appender = await openStore(place)
    const next = repeatedStreams()
    await timeAppends(appender, next, warmUpAppends)
    const release = await holdSnapshot(place)
    const tenths: number[] = []
    for (let tenth = 0; tenth < 10; tenth++) tenths.push(await timeAppends(appender, next, appends / 10))
    await release()
    starts.push((appends / 10 / tenths[0]!) * 1_000)
    ends.push((appends / 10 / tenths[9]!) * 1_000)
  }
  const first: Figure = { name: 'the first tenth', unit: 'events/s', samples: starts }
  const last: Figure = { name: 'the last tenth', unit: 'events/s', samples: ends }
  return {
    title: `${appends.toLocaleString('en')} appends of ${callers} callers under a held snapshot`,
    store,
    figures: [first, last, ratio(first, last, { atMost: 1.5 })],
  }
}

/** How many milliseconds the appends took, all of them to streams that are appended to again and again. */
async function timeAppends(store: EventStore, next: NextStream, appends: number): Promise<number> {
  let left = appends
  const startedMs = performance.now()
  const run = async (caller: number): Promise<void> => {
    while (left-- > 0) {
      const { stream, version } = next(caller)
      await store.append(stream, orderPlaced(), { expectedVersion: version === 0 ? 'no-stream' : version })
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => run(caller)))
  return performance.now() - startedMs
}

async function holdSnapshot(place: Place): Promise<() => Promise<void>> {
  if (place.store === 'sqlite') {
    const database = new DatabaseSync(place.path, { readOnly: true })
    database.exec('BEGIN; SELECT count(*) FROM headwater_events')
    return async () => database.close()
  }
  const client = new pg.Client(place.url)
  await client.connect()
  await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ')
  await client.query('SELECT count(*) FROM headwater.events')
  return () => client.end()
}
