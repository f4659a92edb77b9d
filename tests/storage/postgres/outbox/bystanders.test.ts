import { expect, onTestFinished, test } from 'vitest'
import { startPostgres } from '../../../../scripts/postgres.ts'
import { eventually } from '../../../support/eventually.ts'
import { describeOnPostgres } from '../../../support/postgres.ts'
import { wholeLog } from '../support.ts'
import type { Publishing } from './support.ts'
import { happened, publishAlone, publishing } from './support.ts'

/** Looks which of the staging tables are not empty. */
async function observe({ schema, user }: Publishing): Promise<() => Promise<readonly string[]>> {
  const observer = await user()
  return async () => {
    const { rows } = await observer.query<{ name: string }>(
      `select relname as name from pg_class where relnamespace = $1::regnamespace and relkind = 'r' and relname like 'staged\\_events\\_%'
       and pg_relation_size(oid) > 0 order by 1`,
      [schema],
    )
    return rows.map(({ name }) => name)
  }
}

describeOnPostgres('an open transaction that has published', (url) => {
  test('holds no lock that anybody waits for', async () => {
    const shop = await publishing(url)
    const [idle, observer] = [await shop.user(), await shop.user()]
    await idle.query('begin')
    await shop.outbox(idle).publish(happened(1), { stream: 'order:1' })
    const { rows } = await observer.query(
      `select locktype, mode, coalesce(relation::regclass::text, '') as name from pg_locks
       where pid = (select pid from pg_stat_activity where query like '%' || $1 || '%stage($1)%' and state = 'idle in transaction')
       and locktype not in ('virtualxid') order by 1, 2, 3`,
      [shop.schema],
    )
    const relation = (mode: string, name: string) => ({ locktype: 'relation', mode, name: `${shop.schema}.${name}` })
    expect(rows).toEqual([
      relation('AccessShareLock', 'staging_slot'),
      relation('RowExclusiveLock', 'staged_calls'),
      relation('RowExclusiveLock', 'staged_events'),
      relation('RowExclusiveLock', 'staged_events_0'),
      { locktype: 'transactionid', mode: 'ExclusiveLock', name: '' },
    ])
    await idle.query('rollback')
  })

  test('keeps back its own events, and neither appends nor the events of others, of the same stream and id', async () => {
    const shop = await publishing(url)
    const [idle, quick] = [await shop.user(), await shop.user()]
    await idle.query('begin')
    await shop.outbox(idle).publish([happened('idle', 'same'), happened('idle too')], { stream: 'order:1' })
    const sequencer = shop.sequence()
    await shop.store.append('order:1', { type: 'Happened', data: 'appended', id: 'same', source: 'headwater' })
    await publishAlone(shop, quick, 'order:1', 'quick')
    await eventually(async () => expect(await shop.log()).toEqual(['appended', 'quick']))
    await idle.query('commit')
    await eventually(() => expect(sequencer.status.moved).toBe(3))
    expect(await shop.log()).toEqual(['appended', 'quick', 'idle too'])
  })

  test('keeps its own table from being emptied, nobody waits for that, and the others take turns', async () => {
    const shop = await publishing(url)
    const stagedTables = await observe(shop)
    const [idle, quick] = [await shop.user(), await shop.user()]
    await idle.query('begin')
    await shop.outbox(idle).publish(happened('idle'), { stream: 'order:1' })
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 1 })
    const filled = new Set<string>()
    let published = 0
    await eventually(async () => {
      await publishAlone(shop, quick, 'order:2', published++)
      for (const name of await stagedTables()) filled.add(name)
      expect([...filled].toSorted()).toEqual(['staged_events_0', 'staged_events_1', 'staged_events_2'])
    })
    await eventually(async () => expect(await stagedTables()).toEqual(['staged_events_0']))
    // With that table still locked there is one left to write to and one to go on to.
    for (let round = 0; round < 20; round++) await publishAlone(shop, quick, 'order:2', published++)
    await eventually(async () => expect(await stagedTables()).toEqual(['staged_events_0']))
    expect(sequencer.status).toMatchObject({ state: 'running', moved: published })

    await idle.query('commit')
    await eventually(async () => expect(await stagedTables()).toEqual([]))
    expect(await shop.log('order:1')).toEqual(['idle'])
    expect(await shop.log('order:2')).toEqual(Array.from({ length: published }, (_, index) => index))
  })

  test('in each of the tables stops their turns, and nothing else', async () => {
    const shop = await publishing(url)
    const stagedTables = await observe(shop)
    const quick = await shop.user()
    const idle = [await shop.user(), await shop.user(), await shop.user()]
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 1 })
    const slot = async () => {
      const { rows } = await quick.query<{ slot: number }>(`select last_value::int as slot from ${shop.schema}.staging_slot`)
      return rows[0]!.slot
    }
    for (const [index, client] of idle.entries()) {
      const before = await slot()
      await client.query('begin')
      await shop.outbox(client).publish(happened(`idle ${index}`), { stream: 'order:1' })
      await publishAlone(shop, quick, 'order:2', index)
      // An empty one to go on to is there twice.
      if (index < 2) await eventually(async () => expect(await slot()).not.toBe(before))
    }
    for (let round = 3; round < 20; round++) await publishAlone(shop, quick, 'order:2', round)
    await eventually(() => expect(sequencer.status.moved).toBe(20))
    expect(await stagedTables()).toHaveLength(3)
    for (const client of idle) await client.query('commit')
    await eventually(async () => expect(await stagedTables()).toEqual([]))
    expect((await shop.log('order:1')).map(String).toSorted()).toEqual(['idle 0', 'idle 1', 'idle 2'])
  })

  test('stays correct when it is prepared for two phases and committed much later', async () => {
    const server = await startPostgres({ settings: { max_prepared_transactions: '5' } })
    onTestFinished(() => server.stop())
    const shop = await publishing(server.url)
    const [user, quick] = [await shop.user(), await shop.user()]
    await user.query('begin')
    await shop.outbox(user).publish(happened('prepared'), { stream: 'order:1' })
    await user.query(`prepare transaction 'p'`)
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 1 })
    for (let round = 0; round < 5; round++) await publishAlone(shop, quick, 'order:2', round)
    await eventually(() => expect(sequencer.status.moved).toBe(5))
    await user.query(`commit prepared 'p'`)
    await eventually(async () => expect((await shop.log()).at(-1)).toBe('prepared'))
  })
})

describeOnPostgres('somebody who holds an old snapshot', (url) => {
  test('finds no dead rows to keep, and does not keep tables from being emptied', async () => {
    const shop = await publishing(url)
    const stagedTables = await observe(shop)
    const [holder, user] = [await shop.user(), await shop.user()]
    await holder.query('begin isolation level repeatable read')
    await holder.query('select count(*) from pg_class')
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 20 })
    for (let round = 0; round < 400; round++) await publishAlone(shop, user, `order:${round % 7}`, round)
    await eventually(() => expect(sequencer.status.moved).toBe(400))
    await eventually(async () => expect(await stagedTables()).toEqual([]))
    await user.end()
    const observer = await shop.user()
    // A backend reports what it did when it ends.
    await eventually(async () => {
      const { rows } = await observer.query(
        `select sum(n_tup_ins)::int as inserted, sum(n_tup_upd)::int as updated, sum(n_tup_del)::int as deleted
         from pg_stat_user_tables where schemaname = $1 and relname like 'staged%'`,
        [shop.schema],
      )
      expect(rows).toEqual([{ inserted: 800, updated: 0, deleted: 0 }])
    })
    await holder.query('rollback')
    expect(await wholeLog(shop.store.driver)).toHaveLength(400)
  })

  test('and publishes only now, under it, writes into the table of today', async () => {
    const shop = await publishing(url)
    const stagedTables = await observe(shop)
    const [holder, quick] = [await shop.user(), await shop.user()]
    await holder.query('begin isolation level repeatable read')
    await holder.query(`select count(*) from pg_class`)
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 1 })
    await publishAlone(shop, quick, 'order:2', 'quick')
    await eventually(async () => expect(await stagedTables()).toEqual([]))
    await sequencer.stop()
    const { rows } = await quick.query(`select last_value::int as slot from ${shop.schema}.staging_slot`)
    expect(rows).not.toEqual([{ slot: 0 }])
    await shop.outbox(holder).publish(happened('held'), { stream: 'order:1' })
    await holder.query('commit')
    expect(await stagedTables()).toEqual([`staged_events_${rows[0].slot}`])
    shop.sequence()
    await eventually(async () => expect(await shop.log()).toEqual(['quick', 'held']))
  })

  test('on the staging tables themselves, as a backup does, makes nobody wait', async () => {
    const shop = await publishing(url)
    const stagedTables = await observe(shop)
    const [backup, user] = [await shop.user(), await shop.user()]
    await backup.query('begin isolation level repeatable read')
    await backup.query(`select * from ${shop.schema}.staged_events`)
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: 1 })
    await user.query(`set lock_timeout = '1s'`)
    for (let round = 0; round < 50; round++) await publishAlone(shop, user, 'order:1', round)
    await eventually(() => expect(sequencer.status.moved).toBe(50))
    expect(await stagedTables()).not.toEqual([])
    await backup.query('rollback')
    await eventually(async () => expect(await stagedTables()).toEqual([]))
  })
})

describeOnPostgres('a table of the outbox that cannot be emptied', (url) => {
  test('makes looking for events no slower, although plans were made while it was empty', async () => {
    const shop = await publishing(url)
    const [idle, user] = [await shop.user(), await shop.user()]
    const look = async () => {
      const { rows: ticks } = await user.query(
        `select *, coalesce(state ->> 'seen', '3:3:') as seen from ${shop.schema}.staging_tick(false)`,
      )
      const page = [ticks[0].seen, ticks[0].snapshot, ticks[0].first]
      return (await user.query(`select data from ${shop.schema}.read_staged($1, $2, $3, 0, 1000, 1000000)`, page)).rows
    }
    expect(await look()).toEqual([])
    await idle.query('begin')
    await shop.outbox(idle).publish(happened('idle'), { stream: 'order:1' })
    const event = `{"stream":"order:2","type":"T","id":"' || n || '","source":"s","correlationId":"c","causationId":"c","schemaVersion":1,"timeMs":1,"data":1}`
    const sequencer = shop.sequence({ pollMs: 1, rotateEveryMs: Infinity })
    await user.query(`do $$ begin for n in 1..20000 loop perform ${shop.schema}.stage('[${event}]'); end loop; end $$`)
    await eventually(() => expect(sequencer.status.moved).toBe(20_000))
    await sequencer.stop()
    await publishAlone(shop, user, 'order:3', 'new')

    // What is read is counted by the transaction that reads.
    await user.query('begin')
    expect(await look()).toEqual([{ data: 'new' }])
    const { rows: read } = await user.query(
      `select sum(seq_tup_read + idx_tup_fetch)::int as rows from pg_stat_xact_user_tables where schemaname = $1 and relname like 'staged%'`,
      [shop.schema],
    )
    expect(read[0].rows).toBeGreaterThan(0)
    expect(read[0].rows).toBeLessThan(20)
    await user.query('rollback')
    await idle.query('rollback')
  })
})
