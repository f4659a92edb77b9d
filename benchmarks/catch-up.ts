import { bareLoop } from './harness/bare.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { ratio } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { OrderPlaced, startOrders, watcher } from './harness/order-service.ts'
import type { Place, StoreName } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const catchUp: Benchmark = {
  name: 'catch-up',
  about: 'a handler that does nothing, over a million events, against a bare loop over the same rows',
  async *run(lab) {
    for (const store of lab.stores) for (const on of ['all', 'placed'] as const) yield await measure(lab, store, on)
  },
}

async function measure(lab: Lab, store: StoreName, on: 'all' | 'placed'): Promise<Section> {
  const count = lab.quick ? 200_000 : 1_000_000
  const place = await lab.orderLog(store, count)
  const events = on === 'all' ? count : count / 10
  const seconds = await takeTurns(
    { Headwater: () => handleAll(place, on, events), 'bare loop': () => readAll(place, on, events) },
    lab.rounds,
  )
  const speeds = Object.entries(seconds).map(([name, samples]): Figure => ({
    name,
    unit: 'events/s',
    samples: samples.map((sample) => events / sample),
  }))
  return {
    title: `catch-up, ${events.toLocaleString('en')} events, ${on === 'all' ? 'all types of the log' : 'one type, of every tenth event'}`,
    store,
    figures: [...speeds, ratio(speeds[0]!, speeds[1]!, on === 'all' ? { atLeast: 0.8 } : undefined)],
  }
}

/** Seconds from the start of the service, with a handler that is new, to the last event. */
async function handleAll(place: Place, on: 'all' | 'placed', events: number): Promise<number> {
  let seen = 0
  const { promise: done, resolve } = Promise.withResolvers<void>()
  const onEvent = (): void => {
    if (++seen === events) resolve()
  }
  const startedMs = performance.now()
  const app = await startOrders(place, { handlers: [watcher(onEvent, on === 'all' ? {} : { on: [OrderPlaced] })] })
  await done
  const seconds = (performance.now() - startedMs) / 1_000
  await app.stop()
  return seconds
}

async function readAll(place: Place, on: 'all' | 'placed', events: number): Promise<number> {
  const startedMs = performance.now()
  const count = await bareLoop(place, undefined, { type: on === 'all' ? undefined : 'OrderPlaced' })
  if (count !== events) throw new Error(`the bare loop read ${count} events instead of ${events}`)
  return (performance.now() - startedMs) / 1_000
}
