import type { AppendReport, AppendTask } from './children/append.ts'
import type { Benchmark } from './harness/benchmark.ts'
import { startChild } from './harness/child.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import type { Place, StoreName } from './harness/place.ts'
import { onPostgres } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

/** What a flush takes where it is slow: a network disk, or a replica that must answer. */
const slowFlushUs = 2_500

export const appendProcesses: Benchmark = {
  name: 'append-processes',
  about: 'one, two and four processes on one store, with as many callers in each; also where a flush is slow',
  async *run(lab) {
    for (const store of lab.stores) {
      for (const callers of [1, 64]) {
        yield await measure(lab, store, callers, 'as fast as the disk is')
        if (store === 'postgres') yield await measure(lab, store, callers, 'slow flush')
      }
    }
  },
}

async function measure(lab: Lab, store: StoreName, callers: number, flush: 'as fast as the disk is' | 'slow flush'): Promise<Section> {
  const place = await lab.place(store)
  if (flush === 'slow flush' && place.store === 'postgres') await delayFlushes(place.url)
  const contestants = Object.fromEntries(
    [1, 2, 4].map((processes) => [nameOf(processes), () => appendTogether(lab, place, processes, callers)]),
  )
  const turns = await takeTurns(contestants, lab.rounds)
  const totals = [1, 2, 4].map((processes): Figure => ({
    name: nameOf(processes),
    unit: 'events/s',
    samples: turns[nameOf(processes)]!.map((reports) => reports.reduce((sum, { load }) => sum + load.perSecond, 0)),
  }))
  const slowest = [1, 2, 4].map((processes): Figure => ({
    name: `${nameOf(processes)}, p99`,
    unit: 'ms',
    samples: turns[nameOf(processes)]!.map((reports) => Math.max(...reports.map(({ load }) => load.p99Ms))),
  }))
  const bar = store === 'postgres' && flush === 'as fast as the disk is' ? { atLeast: 0.9 } : undefined
  const [one, ...more] = totals
  return {
    title: `append, ${callers} ${callers === 1 ? 'caller' : 'callers'} in each process, ${flush === 'slow flush' ? `a flush takes ${slowFlushUs / 1_000} ms longer` : 'a flush takes what it takes'}`,
    store,
    figures: [...totals, ...slowest, ...more.map((total) => ratio(total, one!, bar))],
  }
}

function nameOf(processes: number): string {
  return processes === 1 ? '1 process' : `${processes} processes`
}

async function appendTogether(lab: Lab, place: Place, processes: number, callers: number): Promise<readonly AppendReport[]> {
  await lab.checkpoint()
  const task = { place, callers, durationMs: lab.roundMs }
  const children = Array.from({ length: processes }, () => startChild<AppendTask, AppendReport>('append.ts', task))
  await Promise.all(children.map(({ ready }) => ready))
  for (const child of children) child.go()
  return Promise.all(children.map(({ result }) => result))
}

/** PostgreSQL waits so long before each flush, whoever else is about to commit. */
async function delayFlushes(url: string): Promise<void> {
  const name = new URL(url).pathname.slice(1)
  await onPostgres(url, `ALTER DATABASE ${name} SET commit_delay = ${slowFlushUs}`)
  await onPostgres(url, `ALTER DATABASE ${name} SET commit_siblings = 0`)
}
