import type { Clock } from '../message/clock.ts'

/** Calls back at a time, of which only the one that was set last counts. */
export class WakeUp {
  readonly #clock: Clock
  readonly #onTime: () => void
  #timer: { readonly atMs: number; readonly controller: AbortController } | undefined

  constructor(clock: Clock, onTime: () => void) {
    this.#clock = clock
    this.#onTime = onTime
  }

  /** In milliseconds since 1970; Infinity: not at all. */
  set(atMs: number): void {
    if (atMs === this.#timer?.atMs) return
    this.cancel()
    if (atMs === Infinity) return
    const controller = new AbortController()
    this.#timer = { atMs, controller }
    void this.#wait(atMs, controller.signal)
  }

  cancel(): void {
    this.#timer?.controller.abort()
    this.#timer = undefined
  }

  async #wait(atMs: number, signal: AbortSignal): Promise<void> {
    await this.#clock.sleep(Math.max(1, atMs - this.#clock.now()), signal)
    if (signal.aborted) return
    this.#timer = undefined
    this.#onTime()
  }
}
