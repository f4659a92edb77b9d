import { expect, onTestFinished, test } from 'vitest'
import { uuidv7 } from '../../../src/message/id.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import type { WriteSet } from '../../../src/storage/write-set.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { freshPostgres } from '../../support/stores.ts'

describeOnPostgres('two processes', (url) => {
  test('that write the same streams, documents and checkpoints in different orders never wait for each other in a circle', async () => {
    const storage = await freshPostgres(url)
    const stores = [
      await EventStore.open(storage, { metrics: new InMemoryMetrics() }),
      await EventStore.open(storage, { metrics: new InMemoryMetrics() }),
    ] as const
    onTestFinished(() => Promise.all(stores.map((store) => store.close())).then(() => undefined))
    const { driver } = stores[0]
    const spec = { id: 'c@1.1', projection: 'c', version: 1, indexed: [], searchable: false }
    await driver.documents.create(spec)
    const keys = Array.from({ length: 20 }, (_, index) => `k-${index}`)
    const epochs = await Promise.all(
      ['p', 'q'].map(async (processor) => {
        const claim = await driver.processors.claim({ processor, owner: 'o', ttlMs: 60_000, startAt: 0 })
        return claim.claimed ? claim.epoch : 0
      }),
    )
    const setOf = (store: EventStore, which: number, n: number): WriteSet => {
      const ordered = which === 0 ? keys : keys.toReversed()
      return {
        appends:
          n % 3 === 0
            ? []
            : ordered.slice(0, 5).map((key) => ({
                stream: `s:${key}`,
                expectedVersion: 'any',
                events: [store.encode({ type: 'T', data: {}, id: uuidv7() })],
              })),
        documents: ordered.map((key) => ({ collection: spec.id, key, document: '{}', fields: [], words: null })),
        ...(n % 2 === 0 && { checkpoint: { processor: which === 0 ? 'p' : 'q', epoch: epochs[which]!, position: n } }),
      }
    }
    await Promise.all(
      stores.map(async (store, which) => {
        for (let n = 0; n < 100; n += 2) await Promise.all([store.commit(setOf(store, which, n)), store.commit(setOf(store, which, n + 1))])
      }),
    )
    for (const { environment } of stores) expect((environment.metrics as InMemoryMetrics).value('headwater_commit_retries_total')).toBe(0)
  })
})
