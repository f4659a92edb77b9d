import { expect, onTestFinished, test } from 'vitest'
import type { Clock } from '../../src/message/clock.ts'
import { systemClock } from '../../src/message/clock.ts'
import type { Lease } from '../../src/processing/lease-keeper.ts'
import { nextGeneration } from '../../src/projection/generation.ts'
import { defineProjection } from '../../src/projection/projection.ts'
import { defineQuery } from '../../src/projection/query.ts'
import { ReadModelWorker } from '../../src/projection/read-model-worker.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import type { DocumentLoad, DocumentStore } from '../../src/storage/document-port.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Storage } from '../../src/storage/port.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { OrderPlaced, orderSummary } from '../support/orders.ts'
import { describeOnEveryStore, freshSqlite } from '../support/stores.ts'

const events = Array.from({ length: 3_000 }, (_, n) => OrderPlaced({ orderId: `o-${n % 700}`, customer: `c-${n % 13}`, total: n }))

type Load = DocumentStore['load']

/** The same storage with something done around each load of documents. */
function aroundLoads(storage: Storage, around: (load: Load, documents: DocumentLoad) => Promise<boolean>): Storage {
  const replacing = <T extends object>(target: T, replaced: keyof T, value: unknown): T =>
    new Proxy(target, {
      get(_, property) {
        if (property === replaced) return value
        const own: unknown = Reflect.get(target, property, target)
        return typeof own === 'function' ? (own as (...args: unknown[]) => unknown).bind(target) : own
      },
    })
  return {
    name: storage.name,
    async open(options) {
      const driver = await storage.open(options)
      const { documents } = driver
      const load: Load = (given) => around((passed) => documents.load(passed), given)
      return replacing(driver, 'documents', replacing(documents, 'load', load))
    },
  }
}

/** Counts by order and by customer, and stumbles over the event with this total for as long as it is told to. */
function counting(stumbles: { at: number | undefined }) {
  return defineProjection('counting', (key): { key: string; count: number } => ({ key, count: 0 })).fold(
    { OrderPlaced },
    ({ data }) => [data.orderId, data.customer],
    {
      OrderPlaced: (document, { data }) => {
        if (data.total === stumbles.at) throw new Error('stumbled')
        return { ...document, count: document.count + 1 }
      },
    },
  )
}

describeOnEveryStore('a read model that is being built', (fresh) => {
  // The first page has 500 events; what it leaves behind is not written yet when the next one begins, or breaks off.
  for (const at of [0, 400, 500, 501, 2_999])
    test(`loses and doubles nothing when it stumbles over event ${at + 1}, is stopped there, and goes on`, async () => {
      const storage = await fresh()
      const filling = await startForTest(defineService('s', {}), { storage })
      await filling.store.append('order:all', events)
      const stumbles: { at: number | undefined } = { at }
      const projection = counting(stumbles)
      const service = defineService('s', { projections: [projection] })
      const first = await startForTest(service, { storage })
      await eventually(() => expect(first.status().processors[0]).toMatchObject({ state: 'failing', position: at }))
      await first.stop()
      const second = await startForTest(service, { storage })
      await eventually(() => expect(second.status().processors[0]?.failure).toContain('stumbled'))
      stumbles.at = undefined
      await eventually(async () => expect(await second.documents(projection).count()).toBe(713))
      expect(await second.verify(projection)).toMatchObject({ documents: 713, differences: [] })
    })

  for (const [what, key] of [
    ['nothing', () => undefined],
    ['an array with a hole', () => ['all', undefined]],
  ] as const)
    test(`stands still at the event for which its key is ${what}, and says so`, async () => {
      const storage = await fresh()
      const filling = await startForTest(defineService('s', {}), { storage })
      await filling.store.append('order:all', events.slice(0, 10))
      const projection = defineProjection('keyless', (): { count: number } => ({ count: 0 })).fold(
        { OrderPlaced },
        // As a payload that lacks the field, of an event that another program has made, would have it.
        ({ data }) => (data.total === 4 ? (key() as unknown as string) : 'all'),
        { OrderPlaced: ({ count }) => ({ count: count + 1 }) },
      )
      const app = await startForTest(defineService('s', { projections: [projection] }), { storage })
      await eventually(() => expect(app.status().processors[0]).toMatchObject({ state: 'failing', position: 4 }))
      expect(app.status().processors[0]?.failure).toMatch(/OrderPlaced at position 5 .*keyless: the key of OrderPlaced must be a string/)
    })

  for (const [what, failing] of [
    ['fails', () => Promise.reject(new Error('out of order'))],
    ['is fenced off', () => Promise.resolve(false)],
  ] as const)
    test(`is complete when a load of documents ${what} at first`, async () => {
      const storage = await fresh()
      const filling = await startForTest(defineService('s', {}), { storage })
      await filling.store.append('order:all', events)
      const projection = counting({ at: undefined })
      const loads: number[] = []
      const faulty = aroundLoads(storage, (load, documents) => (loads.push(documents.documents.length) === 1 ? failing() : load(documents)))
      const app = await startForTest(defineService('s', { projections: [projection] }), { storage: faulty })
      await eventually(async () => expect(await app.documents(projection).count()).toBe(713))
      expect(loads.length).toBeGreaterThan(1)
      expect(await app.verify(projection)).toMatchObject({ documents: 713, differences: [] })
    })

  test('is not read before it is complete', async () => {
    const storage = await fresh()
    const filling = await startForTest(defineService('s', {}), { storage })
    await filling.store.append('order:all', events)
    const app = await startForTest(defineService('s', { projections: [orderSummary] }), { storage })
    expect(await app.documents(orderSummary).count()).toBe(700)
  })

  test('is waited for by who watches it, for longer than by who asks once', async () => {
    const storage = await fresh()
    const filling = await startForTest(defineService('s', {}), { storage })
    await filling.store.append('order:all', events)
    const stumbles: { at: number | undefined } = { at: 0 }
    const projection = counting(stumbles)
    const countOf = defineQuery('CountOf', jsonSchema<{ key: string }>({ type: 'object' }), projection, ({ key }, documents) =>
      documents.get(key),
    )
    const nowMs = Date.now()
    const hundredfold: Clock = {
      now: () => nowMs + (Date.now() - nowMs) * 100,
      sleep: (ms, signal) => systemClock.sleep(ms / 100, signal),
    }
    const service = defineService('s', { projections: [projection], queries: [countOf] })
    const app = await startForTest(service, { storage, clock: hundredfold, leaseMs: 600_000 })
    const changes = app.watch(countOf, { key: 'o-0' })[Symbol.asyncIterator]()
    const first = changes.next()
    first.catch(() => undefined)
    await expect(app.query(countOf, { key: 'o-0' })).rejects.toMatchObject({ code: 'projection-building' })
    stumbles.at = undefined
    expect((await first).value).toEqual({ key: 'o-0', count: 5 })
    await changes.return?.()
  })
})

test('no checkpoint moves over documents that could not be written', async () => {
  const faulty = aroundLoads(await freshSqlite(), () => Promise.reject(new Error('out of order')))
  const store = await EventStore.open(faulty)
  onTestFinished(() => store.close())
  const many = Array.from({ length: 20_000 }, (_, n) => OrderPlaced({ orderId: `o-${n}`, customer: 'c', total: n }))
  for (let from = 0; from < many.length; from += 5_000) await store.append('order:all', many.slice(from, from + 5_000))
  const projection = counting({ at: undefined })
  const [spec, processor] = [nextGeneration(projection, []), 'builder']
  await store.driver.documents.create(spec)
  const claim = await store.driver.processors.claim({ processor, owner: 'me', ttlMs: 60_000, startAt: 0 })
  const epoch = claim.claimed ? claim.epoch : 0
  const lease: Lease = { processor, epoch, position: 0, state: undefined, abandoned: false, lost: new AbortController().signal }
  const worker = new ReadModelWorker(projection, spec, store, { isBeingBuilt: () => true, whenCaughtUp: async () => {} })
  await worker.begin(lease)
  const run = { signal: lease.lost, lease, attempt: 1 }
  const page = await store.readLogPage({ after: 0, limit: 20_000 })
  expect(await worker.process(page, run)).toMatchObject({ through: 20_000, isHeldBack: true })
  await eventually(() => expect(() => worker.heldBack()).toThrow('out of order'))
  await expect(worker.process(page.slice(-1), run)).rejects.toThrow('out of order')
  await expect(worker.complete(lease.lost)).rejects.toThrow('out of order')
})
