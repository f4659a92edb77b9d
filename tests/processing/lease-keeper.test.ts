import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../src/observability/log.ts'
import { LeaseKeeper } from '../../src/processing/lease-keeper.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { describeOnEveryStore } from '../support/stores.ts'
import { eventually } from '../support/eventually.ts'

describeOnEveryStore('leases', (fresh) => {
  test('are given back also when this process, by its own clock, thinks that they are lost', async () => {
    const clock = new ManualClock()
    const store = await EventStore.open(await fresh(), { source: 'test', log: silentLog, clock })
    onTestFinished(() => store.close())
    const [keeper, other] = [new LeaseKeeper(store, { ttlMs: 60_000 }), new LeaseKeeper(store)]
    const lease = await keeper.claim('p', 0)
    if (!('lost' in lease)) throw new Error('nobody else has it')
    // Nothing is heard of the prolongation; in the store the lease goes on by a clock of its own.
    Object.assign(store.driver.processors, { renew: () => Promise.reject(new Error('no answer')) })
    keeper.start()
    onTestFinished(() => keeper.stop())
    for (let beat = 0; beat < 4; beat++) await clock.advance(20_001)
    await eventually(() => expect(lease.lost.aborted).toBe(true))
    expect(await other.claim('p', 0)).toMatchObject({ heldBy: keeper.owner })
    await keeper.release(lease)
    expect(await other.claim('p', 0)).toMatchObject({ processor: 'p' })
  })
})
