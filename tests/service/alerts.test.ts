import { expect, test } from 'vitest'
import { defineHandler } from '../../src/processing/handler.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import type { Alert } from '../../src/service/alerts.ts'
import { defineService } from '../../src/service/service.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { OrderPlaced } from '../support/orders.ts'
import { describeOnEveryStore } from '../support/stores.ts'

describeOnEveryStore('alerts', (fresh) => {
  test('tell once what needs an operator, and once when it is over', async () => {
    let broken = true
    const parks = defineHandler('parks', { on: OrderPlaced }, ({ data }) => {
      if (broken && data.orderId === 'bad') throw new PermanentError('bad')
    })
    const blocks = defineHandler('blocks', { on: OrderPlaced, whenExhausted: 'block', retry: { firstMs: 5, maxMs: 10 } }, () => {
      if (broken) throw new Error('closed')
    })
    const alerts: Alert[] = []
    const clock = new ManualClock()
    const app = await startForTest(defineService('s', { handlers: [parks, blocks] }), {
      storage: await fresh(),
      clock,
      // Time goes on by a second at each look, however long the store takes to prolong a lease.
      leaseMs: 600_000,
      onAlert: (alert) => void alerts.push(alert),
      alerts: { standstillMs: 20_000 },
    })
    /** Lets time go on until it is so. */
    const until = (look: () => unknown): Promise<unknown> =>
      eventually(async () => {
        await clock.advance(1_000)
        return look()
      })
    await app.store.append('order:bad', OrderPlaced({ orderId: 'bad', customer: '', total: 1 }))
    await until(() =>
      expect(alerts.map(({ kind, state, about }) => `${kind} ${state}: ${about}`).toSorted()).toEqual([
        'dead-letters raised: s',
        'standstill raised: handler:blocks',
      ]),
    )
    broken = false
    const [letter] = (await app.deadLetters.list()).documents
    const retried = app.deadLetters.retry(letter!.id, { by: 'ada' })
    await until(() =>
      expect(
        alerts
          .slice(2)
          .map(({ kind, state }) => `${kind} ${state}`)
          .toSorted(),
      ).toEqual(['dead-letters cleared', 'standstill cleared']),
    )
    await retried
  })
})
