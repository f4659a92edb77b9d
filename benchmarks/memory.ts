import type { AppendReport, AppendTask } from './children/append.ts'
import type { CatchUpReport, CatchUpTask } from './children/catch-up.ts'
import type { Benchmark } from './harness/benchmark.ts'
import { runChild } from './harness/child.ts'
import type { Lab } from './harness/lab.ts'
import type { StoreName } from './harness/place.ts'
import type { Section } from './harness/figures.ts'

export const memory: Benchmark = {
  name: 'memory',
  about: 'how much memory a process has while it appends, and while a handler catches up',
  async *run(lab) {
    for (const store of lab.stores) {
      yield await whileAppending(lab, store)
      yield await whileCatchingUp(lab, store)
    }
  },
}

async function whileAppending(lab: Lab, store: StoreName): Promise<Section> {
  const durationMs = lab.quick ? 3_000 : 20_000
  const callers = 256
  const { load, startMb, peakMb } = await runChild<AppendTask, AppendReport>('append.ts', {
    place: await lab.place(store),
    callers,
    durationMs,
  })
  return {
    title: `memory, ${callers} callers append for ${durationMs / 1_000} s`,
    store,
    figures: [
      { name: 'before', unit: 'MB RSS', samples: [startMb] },
      { name: 'peak', unit: 'MB RSS', samples: [peakMb], bar: { atMost: 400 } },
      { name: 'appended', unit: 'events/s', samples: [load.perSecond] },
    ],
  }
}

async function whileCatchingUp(lab: Lab, store: StoreName): Promise<Section> {
  const events = lab.quick ? 200_000 : 1_000_000
  const place = await lab.orderLog(store, events)
  const { startMb, peakMb, seconds } = await runChild<CatchUpTask, CatchUpReport>('catch-up.ts', { place, events })
  return {
    title: `memory, a handler catches up with ${events.toLocaleString('en')} events`,
    store,
    figures: [
      { name: 'before', unit: 'MB RSS', samples: [startMb] },
      { name: 'peak', unit: 'MB RSS', samples: [peakMb], bar: { atMost: 400 } },
      { name: 'handled', unit: 'events/s', samples: [events / seconds] },
    ],
  }
}
