import type { RebuildReport, RebuildTask } from './children/rebuild.ts'
import type { Benchmark } from './harness/benchmark.ts'
import { runChild } from './harness/child.ts'
import type { Figure, Section } from './harness/figures.ts'
import { median, ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { customers, eventsPerOrder } from './harness/order-log.ts'
import type { Place, StoreName } from './harness/place.ts'
import { openStore } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const rebuild: Benchmark = {
  name: 'rebuild',
  about: 'a read model of documents from one and ten million events, against a bare loop over the same rows',
  async *run(lab) {
    const sizes = lab.quick ? [1_000_000] : [1_000_000, 10_000_000]
    for (const store of lab.stores) for (const events of sizes) yield* measure(lab, store, events)
  },
}

async function* measure(lab: Lab, store: StoreName, events: number): AsyncIterable<Section> {
  const place = await lab.orderLog(store, events)
  const turns = await takeTurns(
    {
      bare: () => build(lab, place, 'bare', 0),
      orders: () => build(lab, place, 'orders', events / eventsPerOrder),
      customers: () => build(lab, place, 'customers', Math.min(events, customers)),
    },
    // Ten million events take long enough for one round to be steady.
    events > 1_000_000 ? 1 : lab.quick ? 1 : 3,
    { warmUp: events <= 1_000_000 },
  )
  const speed = (name: string, reports: readonly RebuildReport[]): Figure => ({
    name,
    unit: 'events/s',
    samples: reports.map(({ seconds }) => events / seconds),
  })
  const work = (name: string, reports: readonly RebuildReport[]): Figure => ({
    name,
    unit: 'µs/event',
    samples: reports.map(({ processorSeconds }) => (processorSeconds * 1e6) / events),
  })
  const bare = speed('bare loop', turns.bare)
  for (const [what, title, atLeast] of [
    ['orders', 'one document an order: 500 keys in 5,000 events', 0.7],
    ['customers', 'one document a customer: a million scattered keys', 0.3],
  ] as const) {
    const ours = speed('Headwater', turns[what])
    const tenths = turns[what].map(({ tenthsMb }) => tenthsMb)
    yield {
      title: `rebuild of ${events.toLocaleString('en')} events, ${title}`,
      store,
      figures: [
        ours,
        bare,
        ratio(ours, bare, { atLeast }),
        work('processor time of this process', turns[what]),
        work('the same of the bare loop', turns.bare),
        { name: 'peak of memory', unit: 'MB RSS', samples: turns[what].map(({ peakMb }) => peakMb), bar: { atMost: 400 } },
        { name: 'the same of the bare loop', unit: 'MB RSS', samples: turns.bare.map(({ peakMb }) => peakMb) },
      ],
      notes: [
        `${turns[what][0]!.documents.toLocaleString('en')} documents; memory by tenths of the time: ${Array.from({ length: 10 }, (_, tenth) => Math.round(median(tenths.map((one) => one[tenth]!)))).join(', ')} MB`,
      ],
    }
  }
}

async function build(lab: Lab, place: Place, what: RebuildTask['what'], expected: number): Promise<RebuildReport> {
  await lab.checkpoint()
  const report = await runChild<RebuildTask, RebuildReport>('rebuild.ts', { place, what })
  if (report.documents !== expected) throw new Error(`${what}: ${report.documents} documents instead of ${expected}`)
  await dropCollections(place)
  return report
}

/** What was built goes, so that the next one begins from nothing. */
async function dropCollections(place: Place): Promise<void> {
  await using store = await openStore(place)
  for (const { id } of await store.driver.documents.list()) await store.driver.documents.drop(id, `projection:${id}`)
}
