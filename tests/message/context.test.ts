import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { currentContext, MessagePlace, onBehalfOf } from '../../src/message/context.ts'

const first = { correlationId: 'c-1', causationId: 'm-1' }
const second = { correlationId: 'c-2', causationId: 'm-2' }

describe('the message on whose behalf code runs', () => {
  test('is none at first, and none again afterwards', () => {
    expect(currentContext()).toBeUndefined()
    expect(onBehalfOf(first, () => currentContext())).toBe(first)
    expect(currentContext()).toBeUndefined()
    expect(() =>
      onBehalfOf(first, () => {
        throw new Error('failed')
      }),
    ).toThrow('failed')
    expect(currentContext()).toBeUndefined()
  })

  test('stays through awaits, timers and callbacks', async () => {
    const seen = await onBehalfOf(first, async () => {
      await delay(1)
      const inTimer = await new Promise((resolve) => setTimeout(() => resolve(currentContext()), 1))
      const inMicrotask = await new Promise((resolve) => queueMicrotask(() => resolve(currentContext())))
      return [currentContext(), inTimer, inMicrotask]
    })
    expect(seen).toEqual([first, first, first])
  })

  test('is that of the innermost call', () => {
    onBehalfOf(first, () => {
      expect(onBehalfOf(second, currentContext)).toBe(second)
      expect(currentContext()).toBe(first)
    })
  })

  test('is not mixed up between messages that are handled at the same time', async () => {
    const contexts = Array.from({ length: 50 }, (_, index) => ({ correlationId: `c-${index}`, causationId: `m-${index}` }))
    const seen = await Promise.all(
      contexts.map((context, index) =>
        onBehalfOf(context, async () => {
          await delay(index % 5)
          return currentContext()
        }),
      ),
    )
    expect(seen).toEqual(contexts)
  })
})

describe('a place in which code runs on behalf of one message after another', () => {
  const place = new MessagePlace()

  test('is left as it was entered, also by what throws', () => {
    onBehalfOf(first, () => {
      expect(place.run(second, (context) => [context, currentContext()], 'given')).toEqual(['given', second])
      expect(() =>
        place.run(second, () => {
          throw new Error('failed')
        }),
      ).toThrow('failed')
      expect(currentContext()).toBe(first)
    })
    expect(currentContext()).toBeUndefined()
  })

  test('keeps each message for what it has led to, also for what nobody waits for', async () => {
    const seen: unknown[] = []
    const look = (): void => {
      setImmediate(() => seen.push(currentContext()))
      void Promise.resolve().then(() => seen.push(currentContext()))
    }
    for (const context of [first, second]) place.run(context, look)
    await new Promise((resolve) => setImmediate(resolve))
    expect(seen).toEqual([first, second, first, second])
    expect(currentContext()).toBeUndefined()
  })

  test('has the surroundings in which it was made', () => {
    const others = new AsyncLocalStorage<string>()
    const there = others.run('there', () => new MessagePlace())
    expect(others.run('here', () => [there.run(first, () => [others.getStore(), currentContext()]), others.getStore()])).toEqual([
      ['there', first],
      'here',
    ])
  })
})
