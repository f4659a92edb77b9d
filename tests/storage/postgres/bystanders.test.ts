import { expect, test } from 'vitest'
import { appending, event, events } from '../../../src/conformance/storage/write-sets.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { commitOne, committed, connect, gate, open, schemaFor } from './support.ts'

describeOnPostgres('transactions of others', (url) => {
  test('that hold an old snapshot find no dead rows of the log to keep', async () => {
    const schema = schemaFor(url)
    const driver = await open(url, { schema })
    const somebody = await connect(url)
    await somebody.query('begin isolation level repeatable read')
    await somebody.query(`select count(*) from ${schema}.events`)

    // One stream that is appended to all the time would rot first.
    for (let round = 0; round < 300; round++) committed(await commitOne(driver, appending('hot:1', round)))
    for (let round = 0; round < 30; round++) {
      const sets = Array.from({ length: 100 }, (_, index) => appending(`order:${round}-${index}`, 'no-stream', [event({ tags: ['all'] })]))
      for (const verdict of await driver.commit(sets)) committed(verdict)
      committed(await commitOne(driver, appending('hot:1', 300 + round * 2, events(2))))
    }
    await driver.close()

    const observer = await connect(url)
    // Each backend reports what it did when it ends.
    await eventually(async () => {
      const { rows } = await observer.query(
        `select relname, n_tup_ins::int as inserted, n_tup_upd::int as updated, n_tup_del::int as deleted, n_dead_tup::int as dead
         from pg_stat_user_tables where schemaname = $1 and n_tup_ins > 1 order by 1`,
        [schema],
      )
      expect(rows).toEqual([
        { relname: 'event_tags', inserted: 3_000, updated: 0, deleted: 0, dead: 0 },
        { relname: 'events', inserted: 3_360, updated: 0, deleted: 0, dead: 0 },
      ])
    })
    await somebody.query('rollback')
  })

  test('that have written to tables of their own and then idle stall nobody', async () => {
    const schema = schemaFor(url)
    const driver = await open(url, { schema })
    const somebody = await connect(url)
    await somebody.query(`create table ${schema}.users_own (id int primary key)`)
    await somebody.query(`begin; insert into ${schema}.users_own values (1); select * from ${schema}.events limit 1`)

    await driver.documents.create({ id: 'd@1.1', projection: 'd', version: 1, indexed: [], searchable: false })
    const document = { collection: 'd@1.1', key: 'k', document: '{}', fields: [], words: null }
    for (let round = 0; round < 20; round++) committed(await commitOne(driver, { ...appending('order:1', round), documents: [document] }))
    expect((await driver.log()).head).toBe(20)
    await somebody.query('rollback')
  })

  test('that stop between their checkpoint and their commit hold up their own processor, and nobody else', async () => {
    const schema = schemaFor(url)
    const [driver, other] = [await open(url, { schema }), await open(url, { schema })]
    const claim = await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 60_000, startAt: 0 })
    if (!claim.claimed) throw new Error('nobody else holds it')
    const [moved, resumed] = [gate(), gate()]
    const stopped = driver.transaction(async (sql) => {
      await sql.moveCheckpoint({ processor: 'p', epoch: claim.epoch, position: 1 })
      moved.open()
      await resumed.passed
    })
    await moved.passed

    const held = commitOne(other, { ...appending('order:held'), checkpoint: { processor: 'p', epoch: claim.epoch, position: 2 } })
    const observer = await connect(url)
    await eventually(async () => {
      const { rows } = await observer.query(
        `select 1 from pg_stat_activity where query like '%' || $1 || '%commit_sets%' and wait_event_type = 'Lock'`,
        [schema],
      )
      expect(rows).toHaveLength(1)
    })
    // It waits for the processor, and must not hold the order lock meanwhile.
    for (let round = 0; round < 10; round++) committed(await commitOne(driver, appending('order:1', round)))
    expect((await driver.log()).head).toBe(10)

    resumed.open()
    await stopped
    expect(committed(await held).position).toBe(11)
  })

  test('that is stopped there for good is ended by the server', { timeout: 120_000 }, async () => {
    const schema = schemaFor(url)
    const driver = await open(url, { schema })
    const claim = await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 1, startAt: 0 })
    if (!claim.claimed) throw new Error('nobody else holds it')
    const [moved, never] = [gate(), gate()]
    const stopped = driver.transaction(async (sql) => {
      await sql.moveCheckpoint({ processor: 'p', epoch: claim.epoch, position: 1 })
      moved.open()
      await never.passed
    })
    stopped.catch(() => undefined)
    await moved.passed
    // Waits for the row, which is free when the server has ended the transaction.
    const taken = await driver.processors.claim({ processor: 'p', owner: 'another', ttlMs: 60_000, startAt: 0 })
    expect(taken).toMatchObject({ claimed: true, position: 0 })
    never.open()
    await expect(stopped).rejects.toThrow()
  })
})
