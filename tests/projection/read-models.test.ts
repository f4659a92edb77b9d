import { expect, test } from 'vitest'
import { z } from 'zod'
import { uuidv7 } from '../../src/message/id.ts'
import { accepted } from '../../src/message/outcome.ts'
import { defineProjection } from '../../src/projection/projection.ts'
import { defineQuery } from '../../src/projection/query.ts'
import { defineSqlProjection } from '../../src/projection/sql-projection.ts'
import { serverSentEvents } from '../../src/service/server-sent-events.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import {
  order,
  orderById,
  OrderPaid,
  OrderPlaced,
  ordersByStatus,
  orderSummary,
  PayOrder,
  PlaceOrder,
  ShipOrder,
} from '../support/orders.ts'
import { describeOnEveryStore } from '../support/stores.ts'

const orders = defineService('orders', { aggregates: [order], projections: [orderSummary], queries: [orderById, ordersByStatus] })

describeOnEveryStore('read models', (fresh) => {
  test('are filtered, sorted, paged, searched and counted', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    let position = 0
    for (const [index, customer] of ['Ada Lovelace', 'Émile Zola', 'Alan Turing', 'Grace Hopper', 'Adele Goldberg'].entries())
      position = accepted(await app.send(PlaceOrder, { orderId: `o-${index}`, customer, total: (index * 7) % 5 })).position
    position = accepted(await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p' })).position
    expect(await app.query(ordersByStatus, { status: 'paid' }, { atLeast: position })).toMatchObject([{ orderId: 'o-1', status: 'paid' }])
    const documents = app.documents(orderSummary)
    expect((await documents.find({ sort: { total: 'descending' }, limit: 2 })).map(({ total }) => total)).toEqual([4, 3])
    expect((await documents.find({ where: { total: { from: 1, below: 3 } } })).map(({ orderId }) => orderId)).toEqual(['o-1', 'o-3'])
    expect((await documents.find({ where: { status: { in: ['paid'] } } })).map(({ orderId }) => orderId)).toEqual(['o-1'])
    expect((await documents.find({ search: 'ad' })).map(({ orderId }) => orderId).toSorted()).toEqual(['o-0', 'o-4'])
    expect((await documents.find({ search: 'emile zola' })).map(({ orderId }) => orderId)).toEqual(['o-1'])
    expect(await documents.count()).toBe(5)
    const paged: string[] = []
    let after: string | undefined
    do {
      const page = await documents.page({ sort: { status: 'ascending', total: 'descending' }, limit: 2, ...(after && { after }) })
      paged.push(...page.documents.map(({ orderId }) => orderId))
      after = page.next
    } while (after)
    expect(paged).toEqual(['o-1', 'o-2', 'o-4', 'o-3', 'o-0'])
  })

  test('forget documents that a fold removes', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 })
    await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p' })
    const { position } = await app.send(ShipOrder, { orderId: 'o-1' })
    expect(await app.query(orderById, { orderId: 'o-1' }, { atLeast: position })).toBeUndefined()
  })

  test('refuse fields without an index, other limits and pages of other queries', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await eventually(() => expect(app.status().processors[0]?.state).toBe('live'))
    const documents = app.documents(orderSummary)
    await expect(documents.find({ where: { customer: 'Ada' } as never })).rejects.toMatchObject({ code: 'invalid-query' })
    await expect(documents.find({ limit: 0 })).rejects.toMatchObject({ code: 'invalid-query' })
    await expect(documents.find({ after: 'nonsense' })).rejects.toMatchObject({ code: 'invalid-query' })
  })

  test('say how far behind they are when they are waited for in vain', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    const { position } = accepted(await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 }))
    await app.query(orderById, { orderId: 'o-1' }, { atLeast: position })
    await expect(app.query(orderById, { orderId: 'o-1' }, { atLeast: 5, timeoutMs: 300 })).rejects.toMatchObject({
      code: 'wait-timeout',
      behind: 4,
    })
  })

  test('are waited for by the id of an event, which need not be in the log yet', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    const id = uuidv7()
    const early = app.query(orderById, { orderId: 'o-1' }, { atLeast: { eventId: id } })
    const other = app.query(orderById, { orderId: 'o-1' }, { atLeast: { eventId: id, source: 'another' }, timeoutMs: 3_000 })
    other.catch(() => undefined)
    await app.store.append('order:o-0', OrderPlaced({ orderId: 'o-0', customer: 'Zoë', total: 1 }))
    await app.store.append('order:o-1', { ...OrderPlaced({ orderId: 'o-1', customer: 'Ada', total: 1 }), id })
    expect(await early).toMatchObject({ customer: 'Ada' })
    await expect(other).rejects.toThrow(`the log, in which there is no event ${id} of another, did not reach position 3 within 3000 ms`)
  })

  test('stop at an event that they cannot fold, name it, and keep what comes before', async () => {
    let broken = true
    const totals = defineProjection('totals', (id): { id: string; total: number } => ({ id, total: 0 })).fold(
      { OrderPlaced },
      () => 'all',
      {
        OrderPlaced: (document, { data }) => {
          if (broken && data.total === 13) throw new Error('unlucky')
          return { ...document, total: document.total + data.total }
        },
      },
    )
    const app = await startForTest(defineService('orders', { aggregates: [order], projections: [totals] }), { storage: await fresh() })
    for (const [index, total] of [1, 13, 2].entries()) await app.send(PlaceOrder, { orderId: `o-${index}`, customer: '', total })
    await eventually(() => expect(app.status().processors[0]).toMatchObject({ state: 'failing', position: 1 }))
    broken = false
    await eventually(async () => expect(await app.documents(totals).get('all')).toEqual({ id: 'all', total: 16 }))
  })

  test('are built anew beside the one that is read, and the old one goes', async () => {
    const storage = await fresh()
    const first = await startForTest(orders, { storage })
    for (let i = 0; i < 30; i++) await first.send(PlaceOrder, { orderId: `o-${i}`, customer: 'Ada', total: i })
    await eventually(() => expect(first.status().processors[0]?.position).toBe(30))
    const collections = async (): Promise<readonly string[]> =>
      (await first.store.driver.documents.list('order-summary')).map(({ id, state }) => `${id} ${state}`)
    expect(await collections()).toEqual(['order-summary@1.1 live'])
    const reports: number[] = []
    await first.rebuild('order-summary', { progressEveryMs: 1, onProgress: ({ position }) => reports.push(position) })
    expect((await collections()).toSorted()).toEqual(['order-summary@1.1 retired', 'order-summary@1.2 live'])
    expect(await first.documents(orderSummary).count()).toBe(30)
    await first.send(PlaceOrder, { orderId: 'o-30', customer: 'Ada', total: 1 })
    await eventually(async () => expect(await first.documents(orderSummary).count()).toBe(31))
  })

  test('of a new version are read when complete, the old version until then', async () => {
    const storage = await fresh()
    const app = await startForTest(orders, { storage })
    const { position } = accepted(await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 }))
    await app.query(orderById, { orderId: 'o-1' }, { atLeast: position })
    const upper = defineProjection('order-summary', (orderId): { orderId: string; name: string } => ({ orderId, name: '' }), {
      version: 2,
    }).fold({ OrderPlaced }, (event) => event.data.orderId, {
      OrderPlaced: (document, { data }) => ({ ...document, name: data.customer.toUpperCase() }),
    })
    const next = await startForTest(defineService('orders', { aggregates: [order], projections: [upper] }), { storage })
    await eventually(async () => expect(await next.documents(upper).get('o-1')).toEqual({ orderId: 'o-1', name: 'ADA' }))
    // The older program goes on with what it declares.
    const second = accepted(await app.send(PlaceOrder, { orderId: 'o-2', customer: 'Grace', total: 2 }))
    expect(await app.query(orderById, { orderId: 'o-2' }, { atLeast: second.position })).toMatchObject({
      customer: 'Grace',
      status: 'placed',
    })
    await eventually(async () => expect(await next.documents(upper).get('o-2')).toEqual({ orderId: 'o-2', name: 'GRACE' }))
  })

  test('are verified: each document that differs is reported, and no other', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    for (let i = 0; i < 20; i++) await app.send(PlaceOrder, { orderId: `o-${i}`, customer: 'Ada', total: i })
    await eventually(() => expect(app.status().processors[0]).toMatchObject({ state: 'live', position: 20 }))
    expect(await app.verify('order-summary')).toEqual({ position: 20, documents: 20, differences: [] })
    const tampered = { orderId: 'o-3', customer: 'Eve', total: 0, status: 'paid' }
    const write = { collection: 'order-summary@1.1', fields: ['', ''], words: null }
    await app.store.commit({
      appends: [],
      documents: [
        { ...write, key: 'o-3', document: JSON.stringify(tampered) },
        { ...write, key: 'o-4', document: null },
        { ...write, key: 'o-99', document: '{}' },
      ],
    })
    const { differences } = await app.verify(orderSummary)
    expect(differences.map(({ key }) => key).toSorted()).toEqual(['o-3', 'o-4', 'o-99'])
    expect(differences.find(({ key }) => key === 'o-3')).toEqual({
      key: 'o-3',
      stored: tampered,
      expected: { orderId: 'o-3', customer: 'Ada', total: 3, status: 'placed' },
    })
    expect(differences.find(({ key }) => key === 'o-4')?.stored).toBeUndefined()
    expect(differences.find(({ key }) => key === 'o-99')?.expected).toBeUndefined()
  })

  test('are watched: the answer now, and whenever it changes', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await eventually(() => expect(app.status().processors[0]?.state).toBe('live'))
    const changes = app.watch(orderById, { orderId: 'o-1' })[Symbol.asyncIterator]()
    expect(await changes.next()).toEqual({ done: false, value: undefined })
    const next = changes.next()
    await app.send(PlaceOrder, { orderId: 'o-2', customer: 'Ada', total: 2 })
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 })
    expect((await next).value).toMatchObject({ orderId: 'o-1', status: 'placed' })
    const waiting = changes.next()
    await changes.return?.()
    expect(await waiting).toEqual({ done: true, value: undefined })
  })

  test('are watched as server-sent events', async () => {
    const app = await startForTest(orders, { storage: await fresh() })
    await eventually(() => expect(app.status().processors[0]?.state).toBe('live'))
    const response = serverSentEvents(app.watch(ordersByStatus, { status: 'placed' }))
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    expect((await reader.read()).value).toBe('data: []\n\n')
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 1 })
    expect((await reader.read()).value).toBe('data: [{"orderId":"o-1","customer":"Ada","total":1,"status":"placed"}]\n\n')
    await reader.cancel()
  })

  test('that are inline hold every acknowledged event, and what came another way a moment later', async () => {
    const inline = defineProjection('inline', (id): { id: string; paid: boolean; total: number } => ({ id, paid: false, total: 0 }), {
      inline: true,
    })
      .index('total')
      .fold({ OrderPlaced, OrderPaid }, (event) => event.data.orderId, {
        OrderPlaced: (document, { data }) => ({ ...document, total: data.total }),
        OrderPaid: (document) => ({ ...document, paid: true }),
      })
    const byId = defineQuery('ById', z.object({ id: z.string() }), inline, ({ id }, documents) => documents.get(id))
    const app = await startForTest(defineService('orders', { aggregates: [order], projections: [inline], queries: [byId] }), {
      storage: await fresh(),
    })
    await eventually(async () => expect(await app.documents(inline).count()).toBe(0))
    await app.send(PlaceOrder, { orderId: 'o-1', customer: 'Ada', total: 5 })
    expect(await app.query(byId, { id: 'o-1' })).toEqual({ id: 'o-1', paid: false, total: 5 })
    await app.send(PayOrder, { orderId: 'o-1', paymentId: 'p' })
    expect(await app.documents(inline).find({ where: { total: 5 } })).toEqual([{ id: 'o-1', paid: true, total: 5 }])
    await app.store.append('order:o-2', OrderPlaced({ orderId: 'o-2', customer: 'Ada', total: 7 }))
    await eventually(async () => expect(await app.query(byId, { id: 'o-2' })).toEqual({ id: 'o-2', paid: false, total: 7 }))
    await app.store.append('order:o-3', OrderPlaced({ orderId: 'o-3', customer: 'Ada', total: 8 }))
    await app.send(PayOrder, { orderId: 'o-3', paymentId: 'p' })
    expect(await app.query(byId, { id: 'o-3' })).toEqual({ id: 'o-3', paid: true, total: 8 })
    expect((await app.verify(inline)).differences).toEqual([])
  })

  test('in SQL change in the transaction of their checkpoint', async () => {
    const storage = await fresh()
    let failures = 1
    const table = `order_totals_${process.pid}_${Date.now()}`
    const [first, second] = storage.name === 'sqlite' ? ['?', '?'] : ['$1', '$2']
    const totals = defineSqlProjection(
      'totals',
      {
        on: OrderPlaced,
        setUp: (sql) => sql.query(`create table if not exists ${table} (customer text primary key, total integer not null)`),
        tearDown: (sql) => sql.query(`drop table if exists ${table}`),
      },
      async (event, sql) => {
        const { customer, total } = event.data
        await sql.query(
          `insert into ${table} values (${first}, ${second}) on conflict (customer) do update set total = ${table}.total + excluded.total`,
          [customer, total],
        )
        if (event.data.orderId === 'o-2' && failures-- > 0) throw new Error('in the middle of a transaction')
      },
    )
    const app = await startForTest(defineService('orders', { aggregates: [order], sqlProjections: [totals] }), { storage })
    for (let i = 0; i < 5; i++) await app.send(PlaceOrder, { orderId: `o-${i}`, customer: i % 2 === 0 ? 'even' : 'odd', total: i })
    await eventually(async () => {
      const { rows } = await app.store.driver.transaction((sql) =>
        sql.query<{ customer: string; total: number }>(`select customer, total from ${table} order by customer`),
      )
      expect(rows.map(({ customer, total }) => `${customer} ${total}`)).toEqual(['even 6', 'odd 4'])
    })
  })
})
