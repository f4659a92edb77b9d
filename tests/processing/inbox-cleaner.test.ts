import { expect, test } from 'vitest'
import { deadLetterCollection, writeDeadLetter } from '../../src/processing/dead-letter.ts'
import { InboxCleaner } from '../../src/processing/inbox-cleaner.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const day = 24 * 60 * 60 * 1_000
const retentionMs = 7 * day

describeOnEveryStore('the cleaner of inboxes', (fresh) => {
  async function world() {
    // Entries have the time of the store; only the cleaner's is moved.
    const clock = new ManualClock(Date.now())
    const store = await EventStore.open(await fresh(), { clock })
    await store.driver.documents.create(deadLetterCollection)
    await store.driver.documents.index(deadLetterCollection.id)
    const messages = Array.from({ length: 5_000 }, (_, n) => ({ source: 's', id: `m${n}` }))
    for (const consumer of ['here', 'elsewhere']) await store.commit({ appends: [], inbox: { consumer, messages } })
    const left = async (consumer: string) => (await store.driver.inbox.find(consumer, messages)).length
    const settled: string[] = []
    const cleaner = new InboxCleaner(store, () => [{ settledConsumers: settled }], { retentionMs, everyMs: 60_000 })
    return { clock, store, left, settled, cleaner }
  }

  /** The pauses between pages are the clock's. */
  async function cleaned({ clock, cleaner }: Awaited<ReturnType<typeof world>>): Promise<number> {
    let count: number | undefined
    void cleaner.clean().then((forgotten) => (count = forgotten))
    while (count === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      await clock.advance(20)
    }
    return count
  }

  test('forgets what is older than the retention, of consumers here that have caught up', async () => {
    const given = await world()
    const { clock, left, settled, store } = given
    settled.push('here')
    await clock.advance(retentionMs - day)
    expect(await cleaned(given)).toBe(0)
    await clock.advance(2 * day)
    settled.pop()
    expect(await cleaned(given)).toBe(0)
    settled.push('here')
    expect(await cleaned(given)).toBe(5_000)
    expect([await left('here'), await left('elsewhere')]).toEqual([0, 5_000])
    await store.close()
  })

  test('forgets nothing that came after a message which an operator may still want to have tried again', async () => {
    const given = await world()
    const { clock, settled, store } = given
    settled.push('here')
    const failedAt = new Date(clock.now() - 60_000).toISOString()
    const failed = { attempts: 1, history: [], error: null, fingerprint: null, failedAt, nextAttemptAt: null, edit: null }
    const letter = {
      id: 'here@1',
      processor: 'here',
      state: 'dead',
      key: 'k',
      position: 1,
      type: 'T',
      message: null,
      origin: null,
      ...failed,
    } as const
    const waiting = { ...letter, id: 'here@2', position: 2, state: 'waiting', failedAt: null } as const
    await store.commit({ appends: [], documents: [writeDeadLetter(letter), writeDeadLetter(waiting)] })
    await clock.advance(retentionMs + day)
    expect(await cleaned(given)).toBe(0)
    await store.commit({ appends: [], documents: [{ ...writeDeadLetter(letter), document: null }] })
    expect(await cleaned(given)).toBe(5_000)
    await store.close()
  })

  test('looks by itself, now and then, until it is stopped', async () => {
    const { clock, cleaner, left, settled, store } = await world()
    settled.push('here')
    cleaner.start()
    await clock.advance(retentionMs + day)
    while ((await left('here')) > 0) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      await clock.advance(60_000)
    }
    await cleaner.stop()
    expect(clock.sleeping).toBe(0)
    await store.close()
  })
})
