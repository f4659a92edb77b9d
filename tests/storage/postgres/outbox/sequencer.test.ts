import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../../../src/observability/log.ts'
import { LeaseKeeper } from '../../../../src/processing/lease-keeper.ts'
import { Sequencer } from '../../../../src/processing/sequencer.ts'
import { UnsupportedStoreError } from '../../../../src/storage/errors.ts'
import { EventStore } from '../../../../src/storage/event-store.ts'
import { postgres } from '../../../../src/storage/postgres/index.ts'
import { eventually } from '../../../support/eventually.ts'
import { describeOnPostgres } from '../../../support/postgres.ts'
import { freshSqlite } from '../../../support/stores.ts'
import { aroundCommits } from '../../../support/wrapped-storage.ts'
import { publishAlone, publishing } from './support.ts'

test('a storage without an outbox is refused by name', async () => {
  const store = await EventStore.open(await freshSqlite())
  onTestFinished(() => store.close())
  expect(() => new Sequencer({ store, leases: new LeaseKeeper(store) })).toThrow(UnsupportedStoreError)
})

describeOnPostgres('the sequencer', (url) => {
  test('stands still and says why, for other processes too, and goes on by itself', async () => {
    const shop = await publishing(url)
    const [user, admin] = [await shop.user(), await shop.user()]
    // Whatever the reason: something in the database refuses.
    await admin.query(`alter table ${shop.schema}.events add constraint refused check (type <> 'Happened') not valid`)
    const sequencer = shop.sequence({ backoff: { firstMs: 5, maxMs: 20 } })
    await publishAlone(shop, user, 'order:1', 1)
    const stored = async () => (await shop.store.driver.processors.list())[0]?.failure
    await eventually(async () => {
      expect(sequencer.status).toMatchObject({ state: 'failing', moved: 0 })
      expect(sequencer.status.failure).toContain('refused')
      expect(await stored()).toContain('refused')
    })
    await admin.query(`alter table ${shop.schema}.events drop constraint refused`)
    await eventually(async () => expect(await shop.log()).toEqual([1]))
    await eventually(async () => {
      expect(sequencer.status).toMatchObject({ state: 'running', failure: undefined })
      expect(await stored()).toBeUndefined()
    })
  })

  test('stands by while another one has the lease, and takes over when that one stops', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const first = shop.sequence()
    await eventually(() => expect(first.status.state).toBe('running'))
    const store = await EventStore.open(postgres(url, { schema: shop.schema }), { log: silentLog })
    const leases = new LeaseKeeper(store, { ttlMs: 300 })
    const second = new Sequencer({ store, leases })
    second.start()
    onTestFinished(async () => {
      await second.stop()
      await store.close()
    })
    await eventually(() => expect(second.status.state).toBe('standby'))
    await publishAlone(shop, user, 'order:1', 1)
    await eventually(() => expect(first.status.moved).toBe(1))
    await first.stop()
    expect(first.status.state).toBe('stopped')
    await publishAlone(shop, user, 'order:1', 2)
    await eventually(() => expect(second.status.moved).toBe(1))
    expect(await shop.log()).toEqual([1, 2])
  })

  test('does not double a batch whose acknowledgement was lost', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    for (let round = 0; round < 30; round++) await publishAlone(shop, user, 'order:1', round)
    let lost = 0
    const storage = aroundCommits(postgres(url, { schema: shop.schema }), async (sets, commit) => {
      const verdicts = await commit(sets)
      if (lost++ % 2 === 0) throw new Error('the acknowledgement was lost')
      return verdicts
    })
    const store = await EventStore.open(storage, { log: silentLog })
    const sequencer = new Sequencer({ store, leases: new LeaseKeeper(store) }, { batchSize: 7, backoff: { firstMs: 1, maxMs: 5 } })
    sequencer.start()
    onTestFinished(async () => {
      await sequencer.stop()
      await store.close()
    })
    await eventually(async () => expect((await shop.log()).length).toBeGreaterThanOrEqual(30))
    await publishAlone(shop, user, 'order:1', 30)
    await eventually(async () => expect(await shop.log()).toEqual(Array.from({ length: 31 }, (_, index) => index)))
  })
})
