import { serveTask, watchMemory } from '../harness/child.ts'
import { newStreams, orderPlaced } from '../harness/orders.ts'
import type { Place } from '../harness/place.ts'
import { openStore } from '../harness/place.ts'
import type { Load } from '../harness/rounds.ts'
import { closedLoop } from '../harness/rounds.ts'

export interface AppendTask {
  readonly place: Place
  readonly callers: number
  readonly durationMs: number
}
export interface AppendReport {
  readonly load: Load
  readonly peakMb: number
  readonly startMb: number
}

/** Appends with so many callers, for so long. */
await serveTask<AppendTask, AppendReport>(async ({ place, callers, durationMs }, whenGo) => {
  await using store = await openStore(place)
  await store.append('warm-up', orderPlaced())
  await whenGo()
  const startMb = process.memoryUsage.rss() / 2 ** 20
  const memory = watchMemory()
  const load = await closedLoop(callers, durationMs, async () => {
    await store.append(newStreams(0).stream, orderPlaced(), { expectedVersion: 'no-stream' })
  })
  return { load, startMb, peakMb: memory.stop().peakMb }
})
