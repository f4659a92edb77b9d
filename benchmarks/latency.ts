import type { WatchReport, WatchTask } from './children/watch.ts'
import type { Benchmark } from './harness/benchmark.ts'
import { startChild } from './harness/child.ts'
import type { Figure, Section } from './harness/figures.ts'
import { percentile } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { OrderPlaced, startOrders, watcher } from './harness/order-service.ts'
import type { Place, StoreName } from './harness/place.ts'
import { onPostgres, openStore } from './harness/place.ts'

export const latency: Benchmark = {
  name: 'latency',
  about: 'from the call of an append to another processor’s handler, on an idle system, in the same process and in another one',
  async *run(lab) {
    for (const store of lab.stores) {
      yield await inSameProcess(lab, store)
      yield await inAnotherProcess(lab, store)
    }
  },
}

const order = { orderId: 'o-1', customerId: 'c-1', quantity: 1, price: 12.5 }

async function inSameProcess(lab: Lab, store: StoreName): Promise<Section> {
  const place = await lab.place(store)
  const handledNs: bigint[] = []
  const app = await startOrders(place, { handlers: [watcher(() => void handledNs.push(process.hrtime.bigint()))] })
  const sentNs = await appendNowAndThen(countOf(lab), (index) => app.store.append(`order:${index}`, OrderPlaced(order)))
  await until(() => handledNs.length === sentNs.length)
  await pause(1_000)
  const statementsBefore = await statementsOn(place)
  const before = process.cpuUsage()
  await pause(idleMsOf(lab))
  const { user, system } = process.cpuUsage(before)
  const statements = (await statementsOn(place)) - statementsBefore
  await app.stop()
  const idle: Figure = {
    name: 'processor time while idle',
    unit: '% of one',
    samples: [(user + system) / 10 / idleMsOf(lab)],
    bar: { atMost: 2 },
  }
  return {
    title: 'append → handler, same process',
    store,
    figures: [...latencies(sentNs, handledNs), idle, ...(place.store === 'postgres' ? [statementsFigure(statements, lab)] : [])],
  }
}

async function inAnotherProcess(lab: Lab, store: StoreName): Promise<Section> {
  const place = await lab.place(store)
  const events = countOf(lab)
  await using appender = await openStore(place)
  const child = startChild<WatchTask, WatchReport>('watch.ts', { place, events, idleMs: idleMsOf(lab) })
  await Promise.race([child.ready, child.result])
  child.go()
  const sentNs = await appendNowAndThen(events, (index) => appender.append(`order:${index}`, OrderPlaced(order)))
  const { handledNs, idleCpu } = await child.result
  return {
    title: 'append → handler, another process',
    store,
    figures: [
      ...latencies(sentNs, handledNs),
      { name: 'processor time while idle', unit: '% of one', samples: [idleCpu * 100], bar: { atMost: 2 } },
    ],
  }
}

function countOf(lab: Lab): number {
  return lab.quick ? 100 : 500
}

function idleMsOf(lab: Lab): number {
  return lab.quick ? 3_000 : 10_000
}

/** One append after another, with pauses in which everything falls idle. Returns when each was called. */
async function appendNowAndThen(count: number, append: (index: number) => Promise<unknown>): Promise<readonly bigint[]> {
  const sentNs: bigint[] = []
  for (let index = 0; index < count; index++) {
    await pause(10 + Math.random() * 40)
    sentNs.push(process.hrtime.bigint())
    await append(index)
  }
  return sentNs
}

function latencies(sentNs: readonly bigint[], handledNs: readonly bigint[]): readonly Figure[] {
  const all = sentNs.map((sent, index) => Number(handledNs[index]! - sent) / 1e6)
  return [
    { name: 'p50', unit: 'ms', samples: [percentile(all, 50)], bar: { atMost: 5 } },
    { name: 'p95', unit: 'ms', samples: [percentile(all, 95)] },
    { name: 'p99', unit: 'ms', samples: [percentile(all, 99)], bar: { atMost: 25 } },
    { name: 'longest', unit: 'ms', samples: [percentile(all, 100)] },
  ]
}

async function statementsOn(place: Place): Promise<number> {
  if (place.store === 'sqlite') return 0
  const [row] = await onPostgres<{ readonly transactions: string }>(
    place.url,
    'SELECT xact_commit AS transactions FROM pg_stat_database WHERE datname = current_database()',
  )
  return Number(row!.transactions)
}

function statementsFigure(statements: number, lab: Lab): Figure {
  return { name: 'transactions while idle', unit: '/s', samples: [(statements * 1_000) / idleMsOf(lab)], bar: { atMost: 10 } }
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await pause(5)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
