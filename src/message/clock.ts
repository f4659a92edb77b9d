import { setTimeout as delay } from 'node:timers/promises'

/** Time, as everything in Headwater sees it; tests put a clock of their own in its place. */
export interface Clock {
  /** Milliseconds since 1970-01-01 UTC. */
  now(): number
  /** Resolves after `ms`; at once when `signal` is aborted, without an error, since whoever sleeps looks at the signal next anyway. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** Node fires a timer at once when it is asked to wait longer than this, so that longer sleeps are made of several. */
const longestTimerMs = 0x7fffffff

export const systemClock: Clock = {
  now: () => Date.now(),
  async sleep(ms, signal) {
    const options = signal ? { signal } : {}
    let leftMs = ms
    try {
      for (; leftMs > longestTimerMs; leftMs -= longestTimerMs) await delay(longestTimerMs, undefined, options)
      await delay(leftMs, undefined, options)
    } catch {
      // Aborted: the only reason for a timer to fail.
    }
  },
}
