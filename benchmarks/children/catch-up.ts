import { serveTask, watchMemory } from '../harness/child.ts'
import { startOrders, watcher } from '../harness/order-service.ts'
import type { Place } from '../harness/place.ts'

export interface CatchUpTask {
  readonly place: Place
  readonly events: number
}
export interface CatchUpReport {
  readonly seconds: number
  readonly startMb: number
  readonly peakMb: number
}

/** Lets a new handler go through a log that is there already. */
await serveTask<CatchUpTask, CatchUpReport>(async ({ place, events }, whenGo) => {
  await whenGo()
  const startMb = process.memoryUsage.rss() / 2 ** 20
  const memory = watchMemory()
  const { promise: done, resolve } = Promise.withResolvers<void>()
  let seen = 0
  const startedMs = performance.now()
  const onEvent = (): void => {
    if (++seen === events) resolve()
  }
  const app = await startOrders(place, { handlers: [watcher(onEvent)] })
  await done
  const seconds = (performance.now() - startedMs) / 1_000
  const { peakMb } = memory.stop()
  await app.stop()
  return { seconds, startMb, peakMb }
})
