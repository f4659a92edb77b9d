import { percentile } from './figures.ts'

/**
 * Lets the contestants take turns (A B C, C B A, A B C …), so that whatever else happens on the machine hits all of them, after a first round
 * that does not count (unless `warmUp` is false). Returns the figures of each by its name, one a round.
 */
export async function takeTurns<Name extends string, Result>(
  contestants: Readonly<Record<Name, () => Promise<Result>>>,
  rounds: number,
  { warmUp = true }: { readonly warmUp?: boolean } = {},
): Promise<Readonly<Record<Name, readonly Result[]>>> {
  const names = Object.keys(contestants) as Name[]
  const results = Object.fromEntries(names.map((name) => [name, [] as Result[]])) as Record<Name, Result[]>
  for (let round = warmUp ? 0 : 1; round <= rounds; round++) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const result = await contestants[name]()
      if (round > 0) results[name].push(result)
    }
  }
  return results
}

export interface Load {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/** So many callers, each of which calls again as soon as it was answered, for so long. */
export async function closedLoop(callers: number, durationMs: number, call: (caller: number) => Promise<unknown>): Promise<Load> {
  const latencies: number[] = []
  const startedMs = performance.now()
  const endMs = startedMs + durationMs
  const run = async (caller: number): Promise<void> => {
    for (let beforeMs = performance.now(); beforeMs < endMs;) {
      await call(caller)
      const afterMs = performance.now()
      latencies.push(afterMs - beforeMs)
      beforeMs = afterMs
    }
  }
  await Promise.all(Array.from({ length: callers }, (_, caller) => run(caller)))
  const seconds = (performance.now() - startedMs) / 1_000
  return { perSecond: latencies.length / seconds, p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99) }
}

/** Calls at a steady rate whatever the answers take, as users do: a pause of the store is felt by everybody who comes during it. */
export async function steadyLoad(perSecond: number, durationMs: number, call: () => Promise<unknown>): Promise<Load> {
  const latencies: number[] = []
  const pending = new Set<Promise<unknown>>()
  const startedMs = performance.now()
  let sent = 0
  for (;;) {
    const elapsedMs = performance.now() - startedMs
    if (elapsedMs >= durationMs) break
    for (const due = (elapsedMs * perSecond) / 1_000; sent < due; sent++) {
      const dueMs = startedMs + (sent * 1_000) / perSecond
      const answered = call().finally(() => {
        latencies.push(performance.now() - dueMs)
        pending.delete(answered)
      })
      pending.add(answered)
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await Promise.all(pending)
  const seconds = (performance.now() - startedMs) / 1_000
  return { perSecond: latencies.length / seconds, p50Ms: percentile(latencies, 50), p99Ms: percentile(latencies, 99) }
}
