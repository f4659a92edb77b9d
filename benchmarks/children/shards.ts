import { setTimeout as delay } from 'node:timers/promises'
import { defineHandler } from '../../src/processing/handler.ts'
import { serveTask } from '../harness/child.ts'
import { allEvents, startOrders } from '../harness/order-service.ts'
import type { Place } from '../harness/place.ts'

export interface ShardsTask {
  readonly place: Place
  /** A handler that nobody has run yet. */
  readonly handler: string
  readonly shards: number
  /** That share them. */
  readonly processes: number
  readonly events: number
  /** How long the handler keeps the processor busy with each event. */
  readonly workMs: number
}
export interface ShardsReport {
  /** In milliseconds since 1970: when the last event of the log had been handled, by whomever. */
  readonly finishedAtMs: number
  readonly handled: number
}

/** One of the processes that share the shards of a handler. Nobody begins before each has its part. */
await serveTask<ShardsTask, ShardsReport>(async ({ place, handler: name, shards, processes, events, workMs }, whenGo) => {
  const going = Promise.withResolvers<void>()
  let handled = 0
  const handler = defineHandler(name, { on: allEvents, shards, key: ({ data }) => data.orderId }, async (_event, { signal }) => {
    const stopping = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }))
    await Promise.race([going.promise, stopping])
    const endMs = performance.now() + workMs
    while (performance.now() < endMs);
    handled++
  })
  const app = await startOrders(place, { handlers: [handler] })
  const own = async () =>
    (await app.store.driver.processors.list()).filter(({ processor }) => /^[^#]+#\d/.test(processor) && processor.includes(name))
  for (;;) {
    const owners = Map.groupBy(await own(), ({ owner }) => owner)
    const isShared =
      owners.size === processes && !owners.has(undefined) && [...owners.values()].every(({ length }) => length === shards / processes)
    if (isShared) break
    await delay(50)
  }
  await whenGo()
  going.resolve()
  while ((await own()).some(({ position }) => position < events)) await delay(10)
  const finishedAtMs = Date.now()
  await app.stop()
  return { finishedAtMs, handled }
})
