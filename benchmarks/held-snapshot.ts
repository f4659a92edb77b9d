import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
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

async function measure(lab: Lab, store: StoreName): Promise<Section> {
  const appends = lab.quick ? 20_000 : 100_000
  const rounds = lab.quick ? 1 : 3
  const starts: number[] = []
  const ends: number[] = []
  for (let round = 0; round < rounds; round++) {
    const place = await lab.place(store)
    await using appender = await openStore(place)
    for (let index = 0; index < 2_000; index++) await appender.append('warm-up', orderPlaced())
    const release = await holdSnapshot(place)
    const tenths = await timeTenths(appender, appends)
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

/** How many milliseconds each tenth of the appends took, all of them to streams that are appended to again and again. */
async function timeTenths(store: Awaited<ReturnType<typeof openStore>>, appends: number): Promise<readonly number[]> {
  const next = repeatedStreams()
  const tenths: number[] = []
  for (let tenth = 0; tenth < 10; tenth++) {
    let left = appends / 10
    const startedMs = performance.now()
    const run = async (caller: number): Promise<void> => {
      while (left-- > 0) {
        const { stream, version } = next(caller)
        await store.append(stream, orderPlaced(), { expectedVersion: version === 0 ? 'no-stream' : version })
      }
    }
    await Promise.all(Array.from({ length: callers }, (_, caller) => run(caller)))
    tenths.push(performance.now() - startedMs)
  }
  return tenths
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
