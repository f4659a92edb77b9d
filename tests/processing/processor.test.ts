import { expect, test } from 'vitest'
import { defineHandler } from '../../src/processing/handler.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { OrderPlaced } from '../support/orders.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const service = (seen: number[]) =>
  defineService('s', { handlers: [defineHandler('h', { on: OrderPlaced }, (event) => void seen.push(event.position))] })
const placed = (orderId: string) => OrderPlaced({ orderId, customer: '', total: 0 })

describeOnEveryStore('a processor', (fresh) => {
  test('whose checkpoint is beyond the log stands still, and says so', async () => {
    const storage = await fresh()
    const first = await startForTest(service([]), { storage })
    await first.store.append('order:1', placed('1'))
    await eventually(() => expect(first.status().processors[0]).toMatchObject({ state: 'live', position: 1 }))
    await first.store.driver.processors.reset({ processor: 'handler:h', position: 100 })
    await first.stop()
    const again = await startForTest(service([]), { storage })
    await eventually(() =>
      expect(again.status().processors[0]).toMatchObject({
        state: 'failing',
        failure: expect.stringContaining('the log ends at 1') as string,
      }),
    )
  })

  test('that was reset begins again from there', async () => {
    const seen: number[] = []
    const app = await startForTest(service(seen), { storage: await fresh() })
    for (const id of ['1', '2', '3']) await app.store.append(`order:${id}`, placed(id))
    await eventually(() => expect(seen).toEqual([1, 2, 3]))
    await app.store.driver.processors.reset({ processor: 'handler:h', position: 1 })
    // It notices when its lease is to be prolonged, at the latest.
    await eventually(() => expect(seen).toEqual([1, 2, 3, 2, 3]))
  })

  test('saves its checkpoint though nothing in the log is for it', async () => {
    const app = await startForTest(service([]), { storage: await fresh() })
    for (let n = 0; n < 5; n++) await app.store.append('other:1', { type: 'Other', data: {} })
    await eventually(async () => expect((await app.store.driver.processors.list())[0]?.position).toBe(5))
  })

  test('begins at a time', async () => {
    const storage = await fresh()
    const seen: number[] = []
    const late = defineHandler(
      'late',
      { on: OrderPlaced, startAt: { time: new Date(Date.UTC(2026, 0, 3)) } },
      (event) => void seen.push(event.position),
    )
    const app = await startForTest(defineService('s', {}), { storage })
    for (let day = 1; day <= 5; day++) await app.store.append('order:1', { ...placed('1'), time: new Date(Date.UTC(2026, 0, day)) })
    await startForTest(defineService('s', { handlers: [late] }), { storage })
    await eventually(() => expect(seen).toEqual([3, 4, 5]))
  })
})
