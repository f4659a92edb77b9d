import { expect, test } from 'vitest'
import { append, appending, events } from '../../../src/conformance/storage/write-sets.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { commitOne, committed, connect, named, open, poolWith, schemaFor, wholeLog } from './support.ts'

const hostile = [
  '-c default_transaction_isolation=repeatable\\ read -c synchronous_commit=off',
  '-c default_transaction_isolation=serializable -c synchronous_commit=off -c standard_conforming_strings=off',
  '-c default_transaction_isolation=serializable -c synchronous_commit=off -c default_transaction_read_only=on -c search_path=pg_temp',
]

describeOnPostgres('settings that users make for themselves', (url) => {
  const inPool = (schema: string, settings: string) => open(poolWith(url, settings), { schema })
  // In a connection string they become those of our own connections.
  const inUrl = (schema: string, settings: string) => open(`${named(url, 'settings')}&options=${encodeURIComponent(settings)}`, { schema })

  for (const [how, openWith] of Object.entries({ inPool, inUrl }))
    for (const settings of hostile)
      test(`do not weaken what is promised: ${how} ${settings}`, async () => {
        const schema = schemaFor(url)
        const driver = await openWith(schema, settings)
        const somebody = await connect(url)
        await somebody.query(recordSettings(schema))

        committed(await commitOne(driver, appending('order:1')))
        for (const verdict of await driver.commit([appending('order:2'), appending('order:3', 'any', events(3))])) committed(verdict)
        const claim = await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 60_000, startAt: 0 })
        if (!claim.claimed) throw new Error('nobody else holds it')
        committed(await commitOne(driver, { appends: [], checkpoint: { processor: 'p', epoch: claim.epoch, position: 1 } }))
        await driver.transaction((sql) => sql.moveCheckpoint({ processor: 'p', epoch: claim.epoch, position: 2 }))
        await driver.processors.reset({ processor: 'p', position: 1 })

        const { rows } = await somebody.query(
          `select relation, isolation, durability, count(*)::int from ${schema}.seen group by 1, 2, 3 order by 1`,
        )
        expect(rows).toEqual([
          { relation: 'events', isolation: 'read committed', durability: 'on', count: 5 },
          { relation: 'processors', isolation: 'read committed', durability: 'on', count: 4 },
        ])
      })

  test('let contending writers go on without a single failure', async () => {
    const schema = schemaFor(url)
    const drivers = await Promise.all([0, 1].map(() => inPool(schema, '-c default_transaction_isolation=serializable')))
    await Promise.all(
      Array.from({ length: 12 }, async (_, writer) => {
        for (let round = 0; round < 15; round++) {
          const set = { appends: [append('shared:1'), append(`own:${writer}`)] }
          committed((await drivers[writer % 2]!.commit([set]))[0])
        }
      }),
    )
    const log = await wholeLog(drivers[0]!)
    expect(log.map(({ position }) => position)).toEqual(Array.from({ length: 12 * 15 * 2 }, (_, index) => index + 1))
  })

  test('waiting for replicas is not undone', async () => {
    const schema = schemaFor(url)
    const driver = await inPool(schema, '-c synchronous_commit=remote_apply')
    const somebody = await connect(url)
    await somebody.query(recordSettings(schema))
    committed(await commitOne(driver, appending('order:1')))
    expect((await somebody.query(`select durability from ${schema}.seen`)).rows).toEqual([{ durability: 'remote_apply' }])
  })

  test('leave nothing set for whoever gets the connection next', async () => {
    const schema = schemaFor(url)
    const pool = poolWith(url, '-c default_transaction_isolation=serializable -c synchronous_commit=off', 1)
    const driver = await open(pool, { schema })
    const settings = async () =>
      (
        await pool.query(
          "select name, setting from pg_settings where name ~ '^(enable_|default_transaction|synchronous|lock_t|statement_t|jit)' order by 1",
        )
      ).rows
    const before = await settings()
    committed(await commitOne(driver, appending('order:1')))
    await driver.commit([appending('order:1', 0), appending('order:2')])
    await driver.readLog({ after: 0, limit: 10, types: ['Happened'] })
    await driver.transaction((sql) => sql.query('select 1'))
    await expect(driver.transaction((sql) => sql.query('select 1/0'))).rejects.toThrow('division by zero')
    expect(await settings()).toEqual(before)
    expect((await pool.query('select count(*)::int from pg_prepared_statements')).rows).toEqual([{ count: 0 }])
    expect((await pool.query('select state from pg_stat_activity where pid = pg_backend_pid()')).rows).toEqual([{ state: 'active' }])
  })
})

/** Writes down, when a transaction commits, under which settings it does so. */
function recordSettings(schema: string): string {
  const triggers = ['events', 'processors'].map(
    (table) => `create constraint trigger seen after insert or update on ${schema}.${table} deferrable initially deferred
      for each row execute function ${schema}.see()`,
  )
  return [
    `create table ${schema}.seen (relation text, isolation text, durability text)`,
    `create function ${schema}.see() returns trigger language plpgsql as $$ begin
      insert into ${schema}.seen values (tg_table_name, current_setting('transaction_isolation'), current_setting('synchronous_commit'));
      return null;
    end $$`,
    ...triggers,
  ].join('; ')
}
