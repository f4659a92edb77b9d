import { expect, test } from 'vitest'
import type { RecordedEvent } from '../../src/message/event.ts'
import { accepted } from '../../src/message/outcome.ts'
import { InMemoryMetrics } from '../../src/observability/metrics.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { AddNote, order, OrderPlaced, orderSummary, PlaceOrder, StockReserved } from '../support/orders.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const reserveStock = defineHandler('reserve-stock', { on: OrderPlaced, emits: StockReserved }, (event, ctx) => {
  ctx.emit(StockReserved({ orderId: event.data.orderId, key: ctx.idempotencyKey }))
})

async function logOf(app: { readonly store: { readLog(): AsyncIterable<RecordedEvent> } }): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for await (const event of app.store.readLog()) events.push(event)
  return events
}

describeOnEveryStore('handlers', (fresh) => {
  test('carry correlation and causation from command to event to handler to the next command', async () => {
    const note = defineHandler('note', { on: StockReserved, sends: AddNote }, async (event, ctx) => {
      await ctx.send(AddNote, { orderId: event.data.orderId, note: 'reserved' })
    })
    const app = await startForTest(defineService('orders', { aggregates: [order], handlers: [reserveStock, note] }), {
      storage: await fresh(),
    })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 }, { id: 'c-1', correlationId: 'story' })
    const [placed, reserved, noted] = await eventually(async () => {
      const events = await logOf(app)
      expect(events).toHaveLength(3)
      return events
    })
    expect(placed).toMatchObject({ correlationId: 'story', causationId: 'c-1' })
    expect(reserved).toMatchObject({ type: 'StockReserved', stream: 'reserve-stock:o-1', correlationId: 'story', causationId: placed!.id })
    expect(noted).toMatchObject({ type: 'NoteAdded', stream: 'order:o-1', version: 2, correlationId: 'story' })
    expect(noted!.causationId).not.toBe(placed!.id)
  })

  test('that are added later begin with the first event, or from now', async () => {
    const storage = await fresh()
    const first = await startForTest(defineService('orders', { aggregates: [order] }), { storage })
    await first.send(PlaceOrder, { orderId: 'old', customer: 'Ada', total: 1 })
    await first.stop()
    const seen: Record<string, string[]> = { all: [], later: [] }
    const all = defineHandler('all', { on: OrderPlaced }, (event) => void seen['all']!.push(event.data.orderId))
    const later = defineHandler('later', { on: OrderPlaced, startAt: 'now' }, (event) => void seen['later']!.push(event.data.orderId))
    const app = await startForTest(defineService('orders', { aggregates: [order], handlers: [all, later] }), { storage })
    await eventually(() => expect(app.status().processors.map(({ state }) => state)).toEqual(['live', 'live']))
    await app.send(PlaceOrder, { orderId: 'new', customer: 'Ada', total: 1 })
    await eventually(() => expect(seen).toEqual({ all: ['old', 'new'], later: ['new'] }))
  })

  test('that fail stop alone, visibly, and go on by themselves', async () => {
    let broken = true
    const attempts: number[] = []
    const fragile = defineHandler(
      'fragile',
      { on: OrderPlaced, emits: StockReserved, retry: { firstMs: 20, maxMs: 50 }, whenExhausted: 'block' },
      (event, ctx) => {
        if (event.data.orderId === 'o-2') attempts.push(ctx.attempt)
        if (broken && event.data.orderId === 'o-2') throw new Error('no connection')
        ctx.emit(StockReserved({ orderId: event.data.orderId, key: ctx.idempotencyKey }))
      },
    )
    const app = await startForTest(
      defineService('orders', { aggregates: [order], handlers: [fragile, reserveStock], projections: [orderSummary] }),
      {
        storage: await fresh(),
      },
    )
    for (const orderId of ['o-1', 'o-2', 'o-3']) await app.send(PlaceOrder, { orderId, customer: 'Ada', total: 1 })
    await eventually(() => {
      const status = app.status().processors.find(({ processor }) => processor === 'handler:fragile')
      expect(status).toMatchObject({ state: 'failing', failure: expect.stringContaining('no connection') as string })
      expect(status?.failure).toMatch(/^OrderPlaced at position \d+ \(order:o-2\): Error: no connection$/)
    })
    await eventually(async () => expect((await logOf(app)).filter(({ stream }) => stream.startsWith('reserve-stock:'))).toHaveLength(3))
    await eventually(async () => {
      const [stored] = (await app.store.driver.processors.list()).filter(({ processor }) => processor === 'handler:fragile')
      expect(stored?.failure).toContain('no connection')
    })
    await eventually(() => expect(attempts.length).toBeGreaterThan(2))
    broken = false
    await eventually(async () => expect((await logOf(app)).filter(({ stream }) => stream.startsWith('fragile:'))).toHaveLength(3))
    expect(attempts.slice(0, 3)).toEqual([1, 2, 3])
    await eventually(async () =>
      expect((await app.store.driver.processors.list()).every(({ failure }) => failure === undefined)).toBe(true),
    )
  })

  test('emit each event once, also when their checkpoint is put back', async () => {
    const storage = await fresh()
    const orders = defineService('orders', { aggregates: [order], handlers: [reserveStock] })
    const app = await startForTest(orders, { storage })
    for (let i = 0; i < 5; i++) await app.send(PlaceOrder, { orderId: `o-${i}`, customer: 'Ada', total: 1 })
    await eventually(async () => expect(await logOf(app)).toHaveLength(10))
    await app.store.driver.processors.reset({ processor: 'handler:reserve-stock', position: 0 })
    await app.send(PlaceOrder, { orderId: 'o-5', customer: 'Ada', total: 1 })
    await eventually(async () => expect(await logOf(app)).toHaveLength(12))
    await eventually(async () => {
      const stored = (await app.store.driver.processors.list()).find(({ processor }) => processor === 'handler:reserve-stock')
      expect(stored?.position).toBeGreaterThanOrEqual(11)
    })
    expect(await logOf(app)).toHaveLength(12)
  })

  test('that emit what they did not declare fail', async () => {
    const sneaky = defineHandler('sneaky', { on: OrderPlaced, emits: [] }, (event, ctx) => {
      ctx.emit(StockReserved({ orderId: event.data.orderId, key: '' }) as never)
    })
    const app = await startForTest(defineService('orders', { aggregates: [order], handlers: [sneaky] }), { storage: await fresh() })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 })
    await eventually(async () =>
      expect((await app.deadLetters.list()).documents).toMatchObject([
        { state: 'parked', error: { message: expect.stringContaining('not among its `emits`') as string } },
      ]),
    )
  })

  test('get the outcome of the first time when they send a command again', async () => {
    let failures = 1
    const outcomes: boolean[] = []
    const note = defineHandler('note', { on: OrderPlaced, sends: AddNote, retry: { firstMs: 1, maxMs: 5 } }, async (event, ctx) => {
      outcomes.push(accepted(await ctx.send(AddNote, { orderId: event.data.orderId, note: 'x' })).duplicate)
      if (failures-- > 0) throw new Error('after the command')
    })
    const app = await startForTest(defineService('orders', { aggregates: [order], handlers: [note] }), { storage: await fresh() })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 })
    await eventually(() => expect(outcomes).toEqual([false, true]))
    expect((await app.state(order, 'o-1')).notes).toEqual(['x'])
  })

  test('fifty of them that have caught up cost one read a batch', async () => {
    const counts = Array.from({ length: 50 }, () => 0)
    const handlers = counts.map((_, index) => defineHandler(`h-${index}`, { on: OrderPlaced }, () => void counts[index]!++))
    const metrics = new InMemoryMetrics()
    const app = await startForTest(defineService('orders', { aggregates: [order], handlers }), {
      storage: await fresh(),
      metrics,
      pollMs: 60_000,
    })
    await eventually(() => expect(app.status().processors.every(({ state }) => state === 'live')).toBe(true))
    const readLog = app.store.driver.readLog.bind(app.store.driver)
    let reads = 0
    app.store.driver.readLog = (range) => (reads++, readLog(range))
    for (let i = 0; i < 5; i++) {
      await app.send(PlaceOrder, { orderId: `o-${i}`, customer: 'Ada', total: 1 })
      await eventually(() => expect(counts.every((count) => count === i + 1)).toBe(true))
    }
    // One page for each append, and at most one more each to see that there is nothing behind it.
    expect(reads).toBeLessThanOrEqual(10)
  })

  test('of a second process stand by, and take over when the first one ends', async () => {
    const storage = await fresh()
    const seen: string[] = []
    const by = (who: string) =>
      defineService('orders', {
        aggregates: [order],
        handlers: [defineHandler('h', { on: OrderPlaced }, (event) => void seen.push(`${who} ${event.data.orderId}`))],
      })
    const first = await startForTest(by('first'), { storage })
    await eventually(() => expect(first.status().processors[0]?.state).toBe('live'))
    const second = await startForTest(by('second'), { storage })
    await eventually(() => expect(second.status().processors[0]?.state).toBe('standby'))
    await second.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 })
    await eventually(() => expect(seen).toEqual(['first o-1']))
    await first.stop()
    await second.send(PlaceOrder, { orderId: 'o-2', customer: 'Ada', total: 1 })
    await eventually(() => expect(seen).toEqual(['first o-1', 'second o-2']))
  })
})
