import { expect, onTestFinished, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Storage } from '../../src/storage/port.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const data = jsonSchema<{ key: string; n: number }>({ type: 'object' })
const Asked = defineEvent('Asked', data)
const Done = defineEvent('Done', data)

function serviceWith(shards: number, onEvent: (key: string) => void = () => {}) {
  const handler = defineHandler('h', { on: Asked, emits: Done, key: (event) => event.data.key, shards }, async (event, { emit }) => {
    onEvent(event.data.key)
    await new Promise((resolve) => setImmediate(resolve))
    emit(Done(event.data))
  })
  return defineService('s', { handlers: [handler] })
}

async function ask(store: EventStore, rounds: number, from = 0): Promise<void> {
  for (let n = from; n < from + rounds; n++)
    await store.append(
      'asked:1',
      Array.from({ length: 20 }, (_, key) => Asked({ key: `k${key}`, n })),
    )
}

async function doneOf(store: EventStore): Promise<Record<string, number[]>> {
  const byKey: Record<string, number[]> = {}
  for await (const event of store.readLog({ types: ['Done'] })) {
    const { key, n } = event.data as { key: string; n: number }
    ;(byKey[key] ??= []).push(n)
  }
  return byKey
}

function expected(rounds: number): Record<string, number[]> {
  return Object.fromEntries(Array.from({ length: 20 }, (_, key) => [`k${key}`, Array.from({ length: rounds }, (_one, n) => n)]))
}

describeOnEveryStore('a handler in shards', (fresh) => {
  const startOne = (storage: Storage, shards = 4) => startForTest(serviceWith(shards), { storage, leaseMs: 800 })
  const running = (app: Awaited<ReturnType<typeof startOne>>) =>
    app.status().processors.filter(({ state }) => state === 'live' || state === 'catching-up').length

  test('handles each message once, in the order of its key, whoever comes and goes', async () => {
    const storage = await fresh()
    const store = await EventStore.open(storage)
    onTestFinished(() => store.close())
    const first = await startOne(storage)
    await ask(store, 5)
    await eventually(() => expect(running(first)).toBe(4))
    const second = await startOne(storage)
    await ask(store, 5, 5)
    await eventually(() => expect([running(first), running(second)]).toEqual([2, 2]))
    const third = await startOne(storage)
    await ask(store, 5, 10)
    await eventually(() => expect([first, second, third].map(running).toSorted((a, b) => a - b)).toEqual([0, 2, 2]))
    await first.stop()
    await ask(store, 5, 15)
    await eventually(() => expect([running(second), running(third)]).toEqual([2, 2]))
    await second.stop()
    await eventually(() => expect(running(third)).toBe(4))
    await eventually(async () => expect(await doneOf(store)).toEqual(expected(20)))
  })

  test('refuses another number of shards than it has run with', async () => {
    const storage = await fresh()
    const first = await startOne(storage, 4)
    await eventually(() => expect(running(first)).toBe(4))
    await first.stop()
    await expect(startOne(storage, 8)).rejects.toThrow(/handler:h cannot have 8 shards: it has run as handler:h#\d\/4/)
    await expect(startOne(storage, 1)).rejects.toThrow(/handler:h cannot have no shards/)
  })
})
