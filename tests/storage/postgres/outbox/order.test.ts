import type pg from 'pg'
import { expect, test } from 'vitest'
import { eventually } from '../../../support/eventually.ts'
import { describeOnPostgres } from '../../../support/postgres.ts'
import { poolWith } from '../support.ts'
import type { Publishing } from './support.ts'
import { happened, publishAlone, publishing } from './support.ts'

describeOnPostgres('the order of events', (url) => {
  test('is that of the commits where one transaction waited for a lock of the other, whoever published first', async () => {
    const shop = await publishing(url)
    const [early, late] = [await shop.user(), await shop.user()]
    await early.query(`create table ${shop.schema}.orders (id int primary key, n int); insert into ${shop.schema}.orders values (1, 0)`)
    const update = (client: pg.Client) => client.query(`update ${shop.schema}.orders set n = n + 1 where id = 1 returning n`)
    await early.query('begin')
    await shop.outbox(early).publish(happened('second'), { stream: 'order:1' })
    await late.query('begin')
    await update(late)
    await shop.outbox(late).publish(happened('first'), { stream: 'order:1' })
    const waiting = update(early)
    await late.query('commit')
    expect((await waiting).rows).toEqual([{ n: 2 }])
    await early.query('commit')
    // Both are there when it looks for the first time.
    shop.sequence()
    await eventually(async () => expect(await shop.log()).toEqual(['first', 'second']))
  })

  test('within a transaction and a call is that in which they were published', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    const expected = Array.from({ length: 60 }, (_, index) => index)
    await user.query('begin')
    for (let first = 0; first < 60; first += 20)
      await shop.outbox(user).publish(
        expected.slice(first, first + 20).map((index) => happened(index)),
        { stream: 'order:1' },
      )
    await user.query('commit')
    // Batches end in the middle of a call.
    shop.sequence({ batchSize: 7 })
    await eventually(async () => expect(await shop.log()).toEqual(expected))
  })

  test('is kept, and nothing is left behind, wherever a batch ends', async () => {
    const shop = await publishing(url)
    const user = await shop.user()
    let published = 0
    for (let count = 1; count <= 13; count++) {
      for (let round = 0; round < count; round++) await publishAlone(shop, user, 'order:1', published++)
      const sequencer = shop.sequence({ pollMs: 1, batchSize: 3 })
      await eventually(() => expect(sequencer.status.moved).toBe(count))
      await sequencer.stop()
    }
    expect(await shop.log()).toEqual(Array.from({ length: published }, (_, index) => index))
  })

  test('leaves nobody behind who has a lower number and commits later', async () => {
    const shop = await publishing(url)
    const [slow, quick] = [await shop.user(), await shop.user()]
    // The number is taken at once; whoever remembers only the highest one would never look for it again.
    await slow.query('begin; set constraints all immediate')
    await shop.outbox(slow).publish(happened('slow'), { stream: 'order:1' })
    const sequencer = shop.sequence({ pollMs: 1 })
    for (let round = 0; round < 20; round++) {
      await publishAlone(shop, quick, 'order:2', round)
      await eventually(() => expect(sequencer.status.moved).toBe(round + 1))
    }
    await slow.query('commit')
    await publishAlone(shop, quick, 'order:2', 'after')
    await eventually(async () => expect((await shop.log()).slice(20)).toEqual(['slow', 'after']))
  })

  test('agrees with the row locks of 50 writers, while batches, ticks and tables change under them', { timeout: 120_000 }, async () => {
    const shop = await publishing(url)
    const admin = await shop.user()
    await admin.query(`create table ${shop.schema}.ledger (key int primary key, n int)`)
    await admin.query(`insert into ${shop.schema}.ledger select k, 0 from generate_series(0, 9) as k`)
    const pool = poolWith(url, undefined, 50)
    const sequencer = shop.sequence({ pollMs: 1, idlePollMs: 5, batchSize: 17, rotateEveryMs: 20 })
    await Promise.all(Array.from({ length: 50 }, (_, writer) => write(shop, pool, writer)))
    const { rows } = await admin.query<{ key: number; n: number }>(`select key, n from ${shop.schema}.ledger order by key`)
    const total = rows.reduce((sum, { n }) => sum + n, 0)
    expect(total).toBeGreaterThan(600)
    await eventually(async () => expect((await shop.store.log()).head).toBeGreaterThanOrEqual(total))
    for (const { key, n } of rows) expect(await shop.log(`key:${key}`)).toEqual(Array.from({ length: n }, (_, index) => index + 1))
    expect((await shop.store.log()).head).toBe(total)
    await eventually(() => expect(sequencer.status).toMatchObject({ moved: total, failure: undefined }))
  })
})

/** Counts a key up and publishes the count, in one transaction; now and then rolls back, or to a savepoint. */
async function write(shop: Publishing, pool: pg.Pool, writer: number): Promise<void> {
  for (let round = 0; round < 20; round++) {
    const client = await pool.connect()
    try {
      const key = (writer * 7 + round * 3) % 10
      const count = async () => {
        const { rows } = await client.query<{ n: number }>(`update ${shop.schema}.ledger set n = n + 1 where key = ${key} returning n`)
        await shop.outbox(client).publish(happened(rows[0]!.n), { stream: `key:${key}` })
      }
      await client.query('begin')
      if (round % 5 === 1) {
        await client.query('savepoint s')
        await count()
        await client.query('rollback to s')
      }
      await count()
      if (round % 4 === 2) await count()
      await client.query(round % 7 === 3 ? 'rollback' : 'commit')
    } finally {
      client.release()
    }
  }
}
