import { expect, test } from 'vitest'
import { accepted } from '../../src/message/outcome.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import { AddNote, order, orderById, OrderPlaced, orderSummary, PayOrder, PlaceOrder, ShipOrder } from '../support/orders.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const orders = defineService('orders', { aggregates: [order], projections: [orderSummary], queries: [orderById] })

describeOnEveryStore('commands', (fresh) => {
  test('are accepted with their events and position, and can be read at once', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    const placed = accepted(await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 }))
    expect(placed).toMatchObject({ position: 1, version: 1, duplicate: false })
    expect(placed.events).toMatchObject([{ type: 'OrderPlaced', stream: 'order:o-1', version: 1, position: 1, source: 'orders' }])
    expect(await app.query(orderById, { orderId: 'o-1' }, { atLeast: placed.position })).toEqual({
      orderId: 'o-1',
      customer: 'Ada',
      total: 12,
      status: 'placed',
    })
  })

  test('are rejected with a code, and store nothing', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    expect(await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p-1' })).toEqual({ ok: false, code: 'not-placed', message: 'not-placed' })
    expect((await app.store.log()).head).toBe(0)
  })

  test('that lead to no event are accepted', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 })
    expect(await app.send(ShipOrder, { orderId: 'o-1' })).toEqual({ ok: true, position: 1, version: 1, events: [], duplicate: false })
  })

  test('with a payload that does not fit are refused with the path', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await expect(app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 'much' } as never)).rejects.toMatchObject({
      code: 'invalid-message',
      issues: [{ path: 'total' }],
    })
  })

  test('of many callers to one aggregate are all carried out, in one order, without conflicts in one process', async () => {
    const metrics = new InMemoryMetrics()
    const app = await startForTest(orders, { storage: await fresh(), metrics })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 })
    const outcomes = await Promise.all(Array.from({ length: 10 }, (_, i) => app.send(AddNote, { orderId: 'o-1', note: `n-${i}` })))
    expect(outcomes.map(({ version }) => version)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    expect((await app.state(order, 'o-1')).notes).toEqual(Array.from({ length: 10 }, (_, i) => `n-${i}`))
    expect(metrics.value('headwater_command_conflicts_total', { command: 'AddNote' })).toBe(0)
  })

  test('of several processes to one aggregate are decided again when they conflict', async () => {
    const storage = await fresh()
    const metrics = new InMemoryMetrics()
    const apps = [await startForTest(orders, { storage, metrics }), await startForTest(orders, { storage, metrics })]
    await apps[0]!.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 })
    const notes = Array.from({ length: 30 }, (_, i) => `n-${i}`)
    await Promise.all(notes.map((note, i) => apps[i % 2]!.send(AddNote, { orderId: 'o-1', note })))
    expect((await apps[1]!.state(order, 'o-1')).notes.toSorted()).toEqual(notes.toSorted())
    expect(metrics.value('headwater_command_conflicts_total', { command: 'AddNote' })).toBeGreaterThan(0)
  })

  test('that come twice with one id are carried out once', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    const command = { orderId: 'o-1', customer: 'Ada', total: 12 }
    const [one, two] = await Promise.all([app.send(PlaceOrder, command, { id: 'c-1' }), app.send(PlaceOrder, command, { id: 'c-1' })])
    const third = accepted(await app.send(PlaceOrder, { total: 12, customer: 'Ada', orderId: 'o-1' }, { id: 'c-1' }))
    expect([accepted(one).position, accepted(two).position, third.position]).toEqual([1, 1, 1])
    expect(third).toMatchObject({ duplicate: true, version: 1, events: [{ type: 'OrderPlaced', position: 1 }] })
    expect((await app.store.log()).head).toBe(1)
  })

  test('refuse an id that was used for something else', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 }, { id: 'c-1' })
    await expect(app.send(PlaceOrder, { orderId: 'o-2', customer: 'Ada', total: 12 }, { id: 'c-1' })).rejects.toMatchObject({
      code: 'command-id-reused',
    })
    await expect(app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 13 }, { id: 'c-1' })).rejects.toMatchObject({
      code: 'command-id-reused',
    })
  })

  test('remember success without events, and forget rejections', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    expect(await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p' }, { id: 'pay' })).toMatchObject({ ok: false })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 })
    expect(await app.send(ShipOrder, { orderId: 'o-1' }, { id: 'ship' })).toMatchObject({ ok: true, events: [], duplicate: false })
    expect(await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p' }, { id: 'pay' })).toMatchObject({ ok: true, duplicate: false })
    expect(await app.send(ShipOrder, { orderId: 'o-1' }, { id: 'ship' })).toMatchObject({
      ok: true,
      events: [],
      duplicate: true,
      version: 1,
    })
  })

  test('carry the correlation that the caller gives', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    const placed = accepted(
      await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 }, { id: 'c-1', correlationId: 'request-7' }),
    )
    expect(placed.events).toMatchObject([{ correlationId: 'request-7', causationId: 'c-1' }])
  })
})

describeOnEveryStore('aggregates', (fresh) => {
  test('are loaded from a snapshot and the events since, with the same state', async () => {
    const storage = await fresh()
    const app = await startForTest(orders, { storage })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 12 })
    for (let i = 0; i < 25; i++) await app.send(AddNote, { orderId: 'o-1', note: `n-${i}` })
    await app.stop()
    const again = await startForTest(orders, { storage })
    const loaded = await again.store.driver.loadStream({
      stream: 'order:o-1',
      limit: 100,
      snapshot: { aggregate: 'order', schemaVersion: 1 },
    })
    expect(loaded.snapshot?.version).toBeGreaterThanOrEqual(20)
    expect(loaded.events).toHaveLength(26 - loaded.snapshot!.version)
    expect((await again.state(order, 'o-1')).notes).toHaveLength(25)
    expect(accepted(await again.send(AddNote, { orderId: 'o-1', note: 'last' })).version).toBe(27)
  })

  test('travel in time: to a version and to a moment', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    const at = (day: number): Date => new Date(Date.UTC(2026, 2, day))
    const data = { orderId: 'o-1', customer: 'Ada', total: 12 }
    await app.store.append('order:o-1', [
      OrderPlaced(data, { time: at(1) }),
      { type: 'NoteAdded', data: { orderId: 'o-1', note: 'a' }, time: at(14) },
      { type: 'NoteAdded', data: { orderId: 'o-1', note: 'b' }, time: at(16) },
    ])
    expect((await app.state(order, 'o-1', { time: at(15) })).notes).toEqual(['a'])
    expect((await app.state(order, 'o-1', { version: 1 })).notes).toEqual([])
    expect((await app.state(order, 'o-1')).notes).toEqual(['a', 'b'])
  })

  test('stop at an event that they do not know', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await app.store.append('order:o-1', { type: 'Mystery', data: {} })
    await expect(app.send(AddNote, { orderId: 'o-1', note: 'x' })).rejects.toMatchObject({ code: 'unknown-event' })
  })
})
