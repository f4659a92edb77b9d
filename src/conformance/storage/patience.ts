import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { StorageDriver } from '../../storage/port.ts'
import type { Verdict, WriteSet } from '../../storage/write-set.ts'

/** Commits as the core does: a failure that the driver calls transient is tried again, a little later. */
export async function commitPatiently(driver: StorageDriver, sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
  return patiently(driver, () => driver.commit(sets))
}

export async function patiently<T>(driver: StorageDriver, work: () => Promise<T>): Promise<T> {
  const endsAtMs = performance.now() + 45_000
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!driver.isTransient(error) || performance.now() > endsAtMs) throw error
      await delay(Math.random() * 20)
    }
  }
}

/** An end for loops that some driver might never leave. A test framework's own limit does not help against one that keeps the event loop busy. */
export class Patience {
  readonly #what: string
  readonly #timeoutMs: number
  readonly #endsAtMs: number

  constructor(what: string, timeoutMs = 45_000) {
    this.#what = what
    this.#timeoutMs = timeoutMs
    this.#endsAtMs = performance.now() + timeoutMs
  }

  check(): void {
    assert.ok(performance.now() < this.#endsAtMs, `${this.#what}: not within ${this.#timeoutMs} ms`)
  }
}

/** Asks again and again until the answer is true; fails after forty-five seconds. */
export async function eventually(what: string, ask: () => Promise<boolean> | boolean): Promise<void> {
  const patience = new Patience(what)
  while (!(await ask())) {
    patience.check()
    await delay(5)
  }
}
