import { expect, test } from 'vitest'
import { defineProjection } from '../../src/projection/projection.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { OrderPlaced, orderSummary } from '../support/orders.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const events = Array.from({ length: 3_000 }, (_, n) => OrderPlaced({ orderId: `o-${n % 700}`, customer: `c-${n % 13}`, total: n }))

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

  test('is not read before it is complete', async () => {
    const storage = await fresh()
    const filling = await startForTest(defineService('s', {}), { storage })
    await filling.store.append('order:all', events)
    const app = await startForTest(defineService('s', { projections: [orderSummary] }), { storage })
    expect(await app.documents(orderSummary).count()).toBe(700)
  })
})
