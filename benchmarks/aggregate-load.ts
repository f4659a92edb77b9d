import { defineAggregate } from '../src/aggregate/aggregate.ts'
import { accepted } from '../src/message/outcome.ts'
import { defineCommand } from '../src/message/command.ts'
import { defineEvent } from '../src/message/event.ts'
import { silentLog } from '../src/observability/log.ts'
import { jsonSchema } from '../src/schema/json-schema.ts'
import { defineService } from '../src/service/service.ts'
import { start } from '../src/service/start.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { percentile } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import type { StoreName } from './harness/place.ts'
import { storageAt } from './harness/place.ts'

const Deposited = defineEvent('Deposited', jsonSchema<{ readonly accountId: string; readonly amount: number }>({ type: 'object' }))
const Deposit = defineCommand('Deposit', jsonSchema<{ readonly accountId: string; readonly amount: number }>({ type: 'object' }))

/** The same account twice: once with a snapshot every 100 events, once without. */
function accountOf(name: string, snapshot: { readonly every: number } | false) {
  return defineAggregate(name, { id: 'accountId', initialState: () => ({ balance: 0, deposits: 0 }), snapshot })
    .evolve({ Deposited }, { Deposited: ({ balance, deposits }, { data }) => ({ balance: balance + data.amount, deposits: deposits + 1 }) })
    .decide({ Deposit }, { Deposit: (_state, { data }) => Deposited(data) })
}
const withSnapshot = accountOf('account', { every: 100 })
const withoutSnapshot = accountOf('ledger', false)

export const aggregateLoad: Benchmark = {
  name: 'aggregate-load',
  about: 'the state of an aggregate of 100,000 events, with a snapshot and without',
  async *run(lab) {
    for (const store of lab.stores) yield await measure(lab, store)
  },
}

const events = 100_000
/** Events that came after the snapshot: about as many as there can be before the next one. */
const tail = 99

async function measure(lab: Lab, store: StoreName): Promise<Section> {
  const service = defineService('benchmark', { aggregates: [withSnapshot] })
  await using app = await start(service, { storage: storageAt(await lab.place(store)), log: silentLog })
  const deposits = (count: number) => Array.from({ length: count }, () => Deposited({ accountId: 'a-1', amount: 1 }))
  for (const stream of ['account:a-1', 'ledger:a-1'])
    for (let done = 0; done < events - tail;) {
      const count = Math.min(5_000, events - tail - done)
      await app.store.append(stream, deposits(count))
      done += count
    }
  // The snapshot is written by a command, after it was answered.
  accepted(await app.send(Deposit, { accountId: 'a-1', amount: 1 }))
  await new Promise((resolve) => setTimeout(resolve, 500))
  await app.store.append('account:a-1', deposits(tail - 1))

  const few = await timeLoads(lab.quick ? 200 : 1_000, async () => (await app.state(withSnapshot, 'a-1')).deposits)
  const many = await timeLoads(lab.quick ? 5 : 15, async () => (await app.state(withoutSnapshot, 'a-1')).deposits)
  return {
    title: `load an aggregate of ${events.toLocaleString('en')} events`,
    store,
    figures: [
      { name: `with a snapshot, ${tail - 1} events after it, p50`, unit: 'ms', samples: [percentile(few, 50)], bar: { atMost: 3 } },
      { name: 'the same, p99', unit: 'ms', samples: [percentile(few, 99)] },
      { name: 'without a snapshot, p50', unit: 'ms', samples: [percentile(many, 50)] },
      { name: 'without a snapshot', unit: 'events/s', samples: many.map((ms) => (events * 1_000) / ms) } satisfies Figure,
    ],
  }
}

async function timeLoads(count: number, load: () => Promise<number>): Promise<readonly number[]> {
  const timings: number[] = []
  for (let index = 0; index < count + 5; index++) {
    const startedMs = performance.now()
    const deposits = await load()
    if (deposits < events - tail) throw new Error(`the state holds ${deposits} deposits`)
    if (index >= 5) timings.push(performance.now() - startedMs)
  }
  return timings
}
