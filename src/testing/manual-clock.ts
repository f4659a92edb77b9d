import type { Clock } from '../message/clock.ts'

/** A clock that stands still until a test moves it: whoever sleeps wakes when its time has come, in order. */
export class ManualClock implements Clock {
  #nowMs: number
  #sleepers: { readonly atMs: number; readonly wake: () => void }[] = []

  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || ms <= 0) return Promise.resolve()
    return new Promise((resolve) => {
      const sleeper = { atMs: this.#nowMs + ms, wake: resolve }
      this.#sleepers.push(sleeper)
      signal?.addEventListener(
        'abort',
        () => {
          this.#sleepers = this.#sleepers.filter((other) => other !== sleeper)
          resolve()
        },
        { once: true },
      )
    })
  }

  /** How many are asleep: a test waits for that before it moves the time. */
  get sleeping(): number {
    return this.#sleepers.length
  }

  /** Moves the time on, waking everybody whose time has come, and lets each run before the next. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms
    for (;;) {
      const next = this.#sleepers.toSorted((a, b) => a.atMs - b.atMs)[0]
      if (!next || next.atMs > untilMs) break
      this.#sleepers = this.#sleepers.filter((other) => other !== next)
      this.#nowMs = next.atMs
      next.wake()
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#nowMs = untilMs
  }
}
