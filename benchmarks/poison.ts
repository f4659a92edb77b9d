import { defineCircuitBreaker } from '../src/processing/circuit-breaker.ts'
import type { CircuitBreaker } from '../src/processing/circuit-breaker.ts'
import { defineHandler } from '../src/processing/handler.ts'
import type { Benchmark } from './harness/benchmark.ts'
import type { Figure, Section } from './harness/figures.ts'
import { speedFigures } from './harness/figures.ts'
import type { Lab } from './harness/lab.ts'
import { allEvents, startOrders } from './harness/order-service.ts'
import type { Speed } from './harness/pace.ts'
import { Pace } from './harness/pace.ts'
import type { Place, StoreName } from './harness/place.ts'
import { takeTurns } from './harness/rounds.ts'

export const poison: Benchmark = {
  name: 'poison',
  about:
    'one key of a thousand whose events always fail: what the others keep of their speed; and a dependency that fails for some seconds',
  async *run(lab) {
    for (const store of lab.stores) {
      for (const work of ['nothing', 'waiting'] as const) yield await poisoned(lab, store, work)
      yield await failing(lab, store)
    }
  },
}

const keys = 1_000
let handlers = 0

/** A thousand keys that come in turn: the log has a customer for each of a million events. */
function keyOf({ data }: { readonly data: { readonly customerId: string } }): string {
  return data.customerId.slice(-3)
}

// ── One key that fails

/** `'nothing'`: the handler does nothing; `'waiting'`: it waits for a millisecond, 16 at a time. */
type Doing = 'nothing' | 'waiting'

async function poisoned(lab: Lab, store: StoreName, doing: Doing): Promise<Section> {
  const count = (doing === 'nothing' ? 200_000 : 50_000) / (lab.quick ? 2 : 1)
  const place = await lab.orderLog(store, count)
  const speeds = await takeTurns(
    { 'with the poison': () => handleOthers(place, count, doing, true), 'without it': () => handleOthers(place, count, doing, false) },
    lab.rounds,
  )
  return {
    title: `one poison key of ${keys.toLocaleString('en')}, a handler that ${doing === 'nothing' ? 'does nothing' : 'waits for 1 ms'}`,
    store,
    figures: speedFigures(speeds, 'events', { atLeast: 0.95 }),
  }
}

/** How fast the events of the other keys are handled. */
async function handleOthers(place: Place, count: number, doing: Doing, isPoisoned: boolean): Promise<Speed> {
  const poisonKey = '007'
  const pace = new Pace(count - count / keys)
  const options = { on: allEvents, key: keyOf, retry: { attempts: 3, firstMs: 50 } }
  const handle = (event: { readonly data: { readonly customerId: string } }): void => {
    if (keyOf(event) !== poisonKey) pace.add()
    else if (isPoisoned) throw new Error('it always fails')
  }
  const name = `poisoned-${process.pid}-${++handlers}`
  const handler =
    doing === 'nothing'
      ? defineHandler(name, options, handle)
      : defineHandler(name, options, async (event) => {
          await pause(1)
          handle(event)
        })
  const app = await startOrders(place, { handlers: [handler] })
  const speed = await pace.finished
  await app.stop()
  return speed
}

// ── A dependency that fails

interface Outage {
  readonly calls: number
  readonly drainedMs: number
  readonly events: number
}

/** Some time after the start the dependency fails, with everything else in good order. */
async function failing(lab: Lab, store: StoreName): Promise<Section> {
  const count = lab.quick ? 5_000 : 10_000
  const outageMs = lab.quick ? 2_000 : 5_000
  const place = await lab.orderLog(store, count)
  const outages = await takeTurns(
    {
      'with a breaker': () => endure(place, count, outageMs, defineCircuitBreaker(`dependency-${handlers}`, { openMs: 100 })),
      'without one': () => endure(place, count, outageMs, undefined),
    },
    lab.quick ? 1 : lab.rounds,
    { warmUp: false },
  )
  const figures = Object.entries(outages).flatMap(([name, samples]): Figure[] => [
    { name: `${name}: calls that failed`, unit: 'calls', samples: samples.map(({ calls }) => calls) },
    { name: `${name}: from the end of the outage until all is handled`, unit: 'ms', samples: samples.map(({ drainedMs }) => drainedMs) },
    { name: `${name}: different events among them`, unit: 'events', samples: samples.map(({ events }) => events) },
  ])
  return {
    title: `a dependency that fails for ${outageMs / 1_000} s, ${count.toLocaleString('en')} events that call it`,
    store,
    figures,
    notes: ['a call takes 5 ms, 16 at a time; failed events are tried again after 100 ms, doubling, for as long as it takes'],
  }
}

async function endure(place: Place, count: number, outageMs: number, breaker: CircuitBreaker | undefined): Promise<Outage> {
  const all = Promise.withResolvers<void>()
  const failedOnce = new Set<number>()
  let handled = 0
  let calls = 0
  let isDown = false
  let upAgainMs = 0
  const options = { on: allEvents, key: keyOf, retry: { attempts: Infinity, firstMs: 100, maxMs: 2_000 }, ...(breaker && { breaker }) }
  const handler = defineHandler(`failing-${process.pid}-${++handlers}`, options, async ({ position }) => {
    await pause(5)
    if (isDown) {
      calls++
      failedOnce.add(position)
      throw new Error('the dependency is down')
    }
    if (++handled === count / 10) {
      isDown = true
      setTimeout(() => {
        isDown = false
        upAgainMs = performance.now()
      }, outageMs)
    }
    if (handled === count) all.resolve()
  })
  const app = await startOrders(place, { handlers: [handler] })
  await all.promise
  const drainedMs = performance.now() - upAgainMs
  await app.stop()
  return { calls, drainedMs, events: failedOnce.size }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
