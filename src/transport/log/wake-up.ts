import type { EventStore } from '../../storage/event-store.ts'

/** Tells readers at the end of the log that it may have grown: appends of this process at once, those of others by the store's signal, and by time. */
export class WakeUp {
  readonly #store: EventStore
  readonly #pollMs: number
  readonly #waiting = new Set<() => void>()
  #stops: readonly (() => unknown)[] = []
  #count = 0

  constructor(store: EventStore, pollMs: number) {
    this.#store = store
    this.#pollMs = pollMs
  }

  async start(): Promise<void> {
    const wake = (): void => this.#wake()
    this.#stops = [this.#store.onAppended(wake), await this.#store.driver.listen(wake)]
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops) await stop()
    this.#wake()
  }

  /** Taken before looking, so that what comes while one looks is not missed. */
  get count(): number {
    return this.#count
  }

  /** Resolves when something came since `count` was taken, when it is time to look by oneself, or when `signal` is aborted. */
  async after(count: number, signal: AbortSignal): Promise<void> {
    if (this.#count !== count || signal.aborted) return
    const over = new AbortController()
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        this.#waiting.delete(wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake, { once: true, signal: over.signal })
      void this.#store.environment.clock.sleep(this.#pollMs, over.signal).then(wake)
    })
    over.abort()
  }

  #wake(): void {
    this.#count++
    for (const wake of this.#waiting) wake()
  }
}
