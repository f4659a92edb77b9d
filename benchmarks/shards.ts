import type { ShardsReport, ShardsTask } from './children/shards.ts'
import type { Benchmark } from './harness/benchmark.ts'
import { startChild } from './harness/child.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import type { Place, StoreName } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const shards: Benchmark = {
  name: 'shards',
  about: 'a handler that keeps a processor core busy, in four shards, shared by one, two and four processes',
  async *run(lab) {
    for (const store of lab.stores) yield await measure(lab, store)
  },
}

const shardCount = 4
const workMs = 0.25

async function measure(lab: Lab, store: StoreName): Promise<Section> {
  const events = lab.quick ? 10_000 : 20_000
  const place = await lab.orderLog(store, events)
  const contestants = Object.fromEntries([1, 2, 4].map((processes) => [nameOf(processes), () => handleTogether(place, processes, events)]))
  const turns = await takeTurns(contestants, lab.rounds, { warmUp: false })
  const totals = [1, 2, 4].map((processes): Figure => ({ name: nameOf(processes), unit: 'events/s', samples: turns[nameOf(processes)]! }))
  const [one, ...more] = totals
  return {
    title: `shards: ${events.toLocaleString('en')} events, each of which keeps a core busy for ${workMs} ms, in ${shardCount} shards`,
    store,
    figures: [...totals, ...more.map((total) => ratio(total, one!))],
    notes: ['they begin when each process has its share'],
  }
}

function nameOf(processes: number): string {
  return processes === 1 ? '1 process' : `${processes} processes`
}

let handlers = 0

/** Events a second of all processes together. */
async function handleTogether(place: Place, processes: number, events: number): Promise<number> {
  const task = { place, handler: `shards-${process.pid}-${++handlers}`, shards: shardCount, processes, events, workMs }
  const children = Array.from({ length: processes }, () => startChild<ShardsTask, ShardsReport>('shards.ts', task))
  await Promise.all(children.map(({ ready }) => ready))
  const startedAtMs = Date.now()
  for (const child of children) child.go()
  const reports = await Promise.all(children.map(({ result }) => result))
  const handled = reports.reduce((sum, report) => sum + report.handled, 0)
  if (handled !== events) throw new Error(`${handled} of ${events} events were handled`)
  return (events * 1_000) / (Math.max(...reports.map(({ finishedAtMs }) => finishedAtMs)) - startedAtMs)
}
