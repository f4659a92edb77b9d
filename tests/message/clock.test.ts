import { describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../src/message/clock.ts'

describe('the clock of the system', () => {
  test('tells the time in milliseconds', () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000)
  })

  test('sleeps until it is woken, without an error', async () => {
    await systemClock.sleep(1)
    const controller = new AbortController()
    const sleeping = systemClock.sleep(60_000, controller.signal)
    controller.abort()
    await expect(sleeping).resolves.toBeUndefined()
    await expect(systemClock.sleep(60_000, AbortSignal.abort())).resolves.toBeUndefined()
  })

  test('sleeps for longer than a timer of Node can', async () => {
    const warnings: unknown[] = []
    const listener = (warning: Error) => warnings.push(warning.name)
    process.on('warning', listener)
    const controller = new AbortController()
    const done = vi.fn<() => void>()
    const sleeping = systemClock.sleep(40 * 24 * 3_600_000, controller.signal).then(done)
    await systemClock.sleep(20)
    expect(done).not.toHaveBeenCalled()
    controller.abort()
    await sleeping
    expect(warnings).toEqual([])
    process.off('warning', listener)
  })
})
