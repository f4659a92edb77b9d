import { serveTask } from '../harness/child.ts'
import { startOrders, watcher } from '../harness/order-service.ts'
import type { Place } from '../harness/place.ts'

export interface WatchTask {
  readonly place: Place
  /** How many events to wait for. */
  readonly events: number
  /** How long to stay idle afterwards. */
  readonly idleMs: number
}
export interface WatchReport {
  /** When each event was handled, on the clock that all processes of the machine share. */
  readonly handledNs: readonly bigint[]
  /** How much of one processor the idle process took. */
  readonly idleCpu: number
}

/** Handles events of another process as they come, then does nothing for a while. */
await serveTask<WatchTask, WatchReport>(async ({ place, events, idleMs }, whenGo) => {
  const handledNs: bigint[] = []
  const { promise: all, resolve } = Promise.withResolvers<void>()
  const onEvent = (): void => {
    handledNs.push(process.hrtime.bigint())
    if (handledNs.length === events) resolve()
  }
  const app = await startOrders(place, { handlers: [watcher(onEvent, { startAt: 'now' })] })
  while (app.status().processors.some(({ state }) => state !== 'live')) await new Promise((next) => setTimeout(next, 20))
  await whenGo()
  await all
  await new Promise((next) => setTimeout(next, 1_000))
  const before = process.cpuUsage()
  await new Promise((next) => setTimeout(next, idleMs))
  const { user, system } = process.cpuUsage(before)
  await app.stop()
  return { handledNs, idleCpu: (user + system) / 1_000 / idleMs }
})
