import { setTimeout as delay } from 'node:timers/promises'

/** Calls `look` until it returns without throwing, and gives what it returned; for what another process or a real broker does in its own time. The limit is for what never comes. */
export async function eventually<T>(look: () => T | Promise<T>, withinMs = 45_000): Promise<T> {
  const deadlineMs = performance.now() + withinMs
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
    }
    await delay(10)
  }
}
