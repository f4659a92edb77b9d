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
    let leftMs = ms
    for (; leftMs > longestTimerMs; leftMs -= longestTimerMs) await nap(longestTimerMs, signal)
    await nap(leftMs, signal)
  },
}

// Not that of `node:timers/promises`, which makes an error with a stack for each sleeper that is woken: processors are, at every append.
function nap(ms: number, signal: AbortSignal | undefined): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', wake)
      resolve()
    }
    const timer = setTimeout(wake, ms)
    signal?.addEventListener('abort', wake, { once: true })
  })
}
