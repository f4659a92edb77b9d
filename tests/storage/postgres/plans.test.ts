import { expect, test } from 'vitest'
import { append, appending, event } from '../../../src/conformance/storage/write-sets.ts'
import type { StorageDriver } from '../../../src/storage/port.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { commitOne, committed, connect, named, open, poolWith, schemaFor } from './support.ts'

// Plans are kept by connections, and made for tables as they are then: empty, and unknown to the planner. None may become a scan of the log.
describeOnPostgres('plans that were made while the store was empty', (url) => {
  const ways = {
    'of our own connections': (address: string, schema: string) => open(address, { schema, poolSize: 1 }),
    'of a pool': (address: string, schema: string) => open(poolWith(address, undefined, 2), { schema }),
  }
  for (const [whose, openStore] of Object.entries(ways))
    test(`are still good when it has 200,000 events and was never analysed: ${whose}`, { timeout: 120_000 }, async () => {
      const schema = schemaFor(url)
      // One connection for everything but ordered commits, so that the plans of the first part are those of the second.
      const driver = await openStore(named(url, schema), schema)
      const observer = await connect(url)
      for (const table of tables) await observer.query(`alter table ${schema}.${table} set (autovacuum_enabled = off)`)
      // After five executions PostgreSQL decides whether to keep a plan.
      for (let round = 0; round < 8; round++) await useEverything(driver, `before-${round}`)
      await observer.query(fill(schema))
      for (let round = 0; round < 8; round++) await useEverything(driver, `after-${round}`)

      // Backends report what they read when they end.
      await observer.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [schema])
      await eventually(async () => {
        const { rows } = await observer.query('select 1 from pg_stat_activity where application_name = $1', [schema])
        expect(rows).toEqual([])
      })
      const { rows } = await observer.query<{ relname: string; scanned: number; looked_up: number }>(
        `select relname, seq_tup_read::int as scanned, idx_tup_fetch::int as looked_up from pg_stat_user_tables
         where schemaname = $1 and relname = any ($2)`,
        [schema, tables],
      )
      expect(rows).toHaveLength(tables.length)
      for (const { relname, scanned, looked_up } of rows) {
        // What was scanned while the tables had next to nothing in them.
        expect(scanned, `rows of ${relname} that were scanned`).toBeLessThan(2_000)
        expect(looked_up, `rows of ${relname} that were found by an index`).toBeLessThan(60_000)
        if (relname !== 'event_tags') expect(looked_up).toBeGreaterThan(0)
      }
    })
})

const tables = ['events', 'event_tags', 'receipts', 'snapshots']

/** Everything that reads or writes the log, once each. */
async function useEverything(driver: StorageDriver, name: string): Promise<void> {
  const stream = `order:${name}`
  committed(await commitOne(driver, appending(stream, 'no-stream')))
  const conditions = [{ types: ['Rare'] }, { streams: ['order:none'] }, { tags: ['none', 'neither'] }].map((item) => ({
    query: { items: [item] },
    after: 0,
  }))
  const receipt = { commandId: name, target: stream, payloadHash: 'h', version: 1 }
  const snapshots = [{ stream, aggregate: 'order', schemaVersion: 1, version: 1, state: '{}' }]
  const sets = [
    { appends: [append(stream, 1, [event({ tags: [name] }), event()])], conditions, receipt, snapshots },
    { appends: [append('shared:1'), append(`other:${name}`, 'no-stream')] },
  ]
  for (const verdict of await driver.commit(sets)) committed(verdict)
  const [{ id, source } = { id: '', source: '' }] = await driver.readStream({ stream, direction: 'backwards', limit: 1 })
  await driver.readStream({ stream, direction: 'forwards', fromVersion: 2, untilMs: 1, limit: 10 })
  await driver.findEvents([
    { id, source },
    { id: 'unknown', source },
  ])
  await driver.loadStream({ stream, snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 10 })
  await driver.findReceipt(name)
  const { head } = await driver.log()
  await driver.listStreams({ limit: 3 })
  await driver.listStreams({ category: 'order', after: 'order:2', limit: 3 })
  const range = { after: head - 4, limit: 5 }
  await driver.readLog(range)
  for (const filter of [
    { types: ['Rare'] },
    { types: ['Happened', 'Rare'] },
    { categories: ['order'] },
    { correlationId: id },
    { query: { items: [{ types: ['Rare', 'Happened'] }, { streams: [stream, 'order:none'] }, { tags: [name, 'none'] }] } },
  ])
    await driver.readLog({ ...range, ...filter })
  // As many as the planner, who knows nothing, believes there are of a type: reading and sorting them all would seem as good.
  await driver.readLog({ after: 0, limit: 2_000, types: ['Happened', 'Rare'] })
}

function fill(schema: string): string {
  return `
    insert into ${schema}.events (position, version, time_ms, schema_version, stream, type, id, source, correlation_id, causation_id, tags, data)
    select head + n, 1, 0, 1, 'filled:' || n, 'Happened', 'filled ' || n, 'test', 'filled ' || n, '', '["filled"]', '{}'
    from generate_series(1, 200000) n, (select max(position) as head from ${schema}.events) e;
    insert into ${schema}.event_tags (tag, position) select 'filled', n from generate_series(1, 20000) n;
    insert into ${schema}.receipts select 'filled ' || n, '', '', 1, 1, 1, 1 from generate_series(1, 20000) n;
    insert into ${schema}.snapshots select 'filled:' || n, 'order', 1, 1, '{}' from generate_series(1, 20000) n`
}
