import { bareLoop } from '../harness/bare.ts'
import { serveTask, watchMemory } from '../harness/child.ts'
import type { AnyProjection } from '../../src/projection/projection.ts'
import { customers, orders, startOrders } from '../harness/order-service.ts'
import type { Place } from '../harness/place.ts'

export interface RebuildTask {
  readonly place: Place
  /** `bare`: only reads and parses the log. */
  readonly what: 'orders' | 'customers' | 'bare'
}
export interface RebuildReport {
  readonly seconds: number
  /** Of this process, garbage collection and all: what a busy machine changes least. */
  readonly processorSeconds: number
  readonly documents: number
  readonly peakMb: number
  /** Memory while it was under way, in tenths of the time that it took. */
  readonly tenthsMb: readonly number[]
}

/** Builds a read model from an existing log, from the start of the service to the moment in which it can be read. */
await serveTask<RebuildTask, RebuildReport>(async ({ place, what }, whenGo) => {
  await whenGo()
  const memory = watchMemory()
  const startedMs = performance.now()
  const startedCpu = process.cpuUsage()
  const documents = what === 'bare' ? await readOnly(place) : await build(place, what === 'orders' ? orders : customers)
  const seconds = (performance.now() - startedMs) / 1_000
  const { user, system } = process.cpuUsage(startedCpu)
  const { peakMb, samplesMb } = memory.stop()
  const tenthsMb = Array.from({ length: 10 }, (_, tenth) => samplesMb[Math.floor(((tenth + 0.5) * samplesMb.length) / 10)] ?? 0)
  return { seconds, processorSeconds: (user + system) / 1e6, documents, peakMb, tenthsMb }
})

async function readOnly(place: Place): Promise<number> {
  await bareLoop(place)
  return 0
}

async function build(place: Place, projection: AnyProjection): Promise<number> {
  const app = await startOrders(place, { projections: [projection] })
  const stuck = new AbortController()
  const onProgress = (): void => {
    const [failure] = app.status().processors.flatMap(({ failure: reason }) => reason ?? [])
    if (failure !== undefined) stuck.abort(new Error(failure))
  }
  await app.rebuild(projection, { onProgress, signal: stuck.signal })
  const [collection] = await app.store.driver.documents.list(projection.name)
  const documents = await app.store.driver.documents.count(collection!.id)
  await app.stop()
  return documents
}
