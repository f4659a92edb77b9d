import { once } from 'node:events'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { Ended, FreshStore } from './program.ts'
import { eventLines, freshPostgresDatabase, freshSqliteFile, jsonLines, openStore, runCli, startCli } from './program.ts'
import { service } from './things.config.ts'

const app = ['--app', join(import.meta.dirname, 'things.config.ts')]

describe('on SQLite', () => suite(freshSqliteFile))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgresDatabase(url)))

function suite(fresh: FreshStore): void {
  async function storeWith(
    count: number,
    attributes?: Readonly<Record<string, unknown>>,
  ): Promise<{ storage: string; run: (...args: string[]) => Promise<Ended> }> {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(count, attributes) })
    return { storage, run: (...args) => runCli([...args, ...app, '--storage', storage]) }
  }

  test('a read model is built, verified, found to differ, and rebuilt', async () => {
    const { storage, run } = await storeWith(1_000)
    expect(jsonLines((await run('projections', '--json')).stdout)).toEqual([
      expect.objectContaining({ name: 'broken', kind: 'documents', generation: '1', state: 'not begun', lagEvents: 1_000 }),
      expect.objectContaining({ name: 'counts', kind: 'documents', generation: '1', state: 'not begun' }),
      expect.objectContaining({ name: 'rows', kind: 'sql', generation: '1', state: 'not begun' }),
      expect.objectContaining({ name: 'watcher', kind: 'handler', generation: null, state: 'not begun' }),
    ])
    expect(await run('projection', 'verify', 'counts')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('[not-found]'),
    })

    const built = await run('projection', 'rebuild', 'counts', '--json')
    expect({ ...built, stdout: jsonLines(built.stdout) }).toEqual({
      exitCode: 0,
      stderr: '',
      stdout: [{ projection: 'counts', position: 1_000 }],
    })
    const live = {
      name: 'counts',
      generation: '1.1',
      state: 'live',
      documents: 10,
      position: 1_000,
      lagEvents: 0,
      owner: null,
      failure: null,
    }
    expect(jsonLines((await run('projections', '--json')).stdout)).toContainEqual({ ...live, kind: 'documents' })
    expect(await run('projection', 'verify', 'counts')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^counts: 10 documents compared at position 1,000 in .*; all are what the log makes of them\n$/),
    })

    const store = await openStore(storage)
    const document = (key: string, text: string | null) => ({ collection: 'counts@1.1', key, document: text, fields: [], words: null })
    await store.commit({
      appends: [],
      documents: [document('thing:3', '{"stream":"thing:3","count":99}'), document('thing:4', null), document('thing:x', '{}')],
    })
    const verified = await run('projection', 'verify', 'counts', '--json')
    expect(verified.exitCode).toBe(1)
    expect(jsonLines(verified.stdout)).toEqual([
      {
        projection: 'counts',
        position: 1_000,
        documents: 11,
        differences: [
          { key: 'thing:3', stored: { stream: 'thing:3', count: 99 }, expected: { stream: 'thing:3', count: 100 } },
          { key: 'thing:4', expected: { stream: 'thing:4', count: 100 } },
          { key: 'thing:x', stored: {} },
        ],
      },
    ])
    const table = (await run('projection', 'verify', 'counts')).stdout
    expect(table).toMatch(/^document +is +should be\n/)
    expect(table).toMatch(
      /\nthing:4 +missing +\{"stream":"thing:4","count":100\}\nthing:x +\{\} +not there\ncounts: 11 documents .*; 3 differ\n$/,
    )

    expect(await run('projection', 'rebuild', 'counts')).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/^counts is rebuilt from 1,000 events/),
    })
    expect(await run('projection', 'verify', 'counts')).toMatchObject({ exitCode: 0 })
    const generations = jsonLines((await run('projections', '--json')).stdout).filter(({ name }) => name === 'counts')
    expect(generations).toMatchObject([
      { generation: '1.2', state: 'live' },
      { generation: '1.1', state: 'retired' },
    ])
  })

  test('a read model is rebuilt while the service runs', async () => {
    const { storage, run } = await storeWith(1_000)
    const path = /^sqlite:(.*)$/.exec(storage)?.[1]
    const running = await startForTest(service, { storage: path === undefined ? postgres(storage) : sqlite(path) })
    await eventually(async () =>
      expect(jsonLines((await run('projections', '--json')).stdout)).toContainEqual(
        expect.objectContaining({ name: 'counts', state: 'live' }),
      ),
    )
    expect(await run('projection', 'rebuild', 'counts')).toMatchObject({ exitCode: 0, stderr: '' })
    await running.store.append('thing:new', { type: 'ThingHappened', data: { n: 1_000 } })
    const verified = await run('projection', 'verify', 'counts', '--json')
    expect(jsonLines(verified.stdout)).toEqual([{ projection: 'counts', position: 1_001, documents: 11, differences: [] }])
    const generations = jsonLines((await run('projections', '--json')).stdout).filter(({ name }) => name === 'counts')
    expect(generations[0]).toMatchObject({ generation: '1.2', state: 'live' })
  }, 120_000)

  test('a rebuild that was interrupted goes on where it was', async () => {
    // Large events make small pages, so that there are some before and after the interruption.
    const { storage, run } = await storeWith(5_000, { data: { n: 0, text: 'x'.repeat(10_000) } })
    const child = startCli(['projection', 'rebuild', 'counts', ...app, '--storage', storage], { env: { THINGS_PAUSE_MS: '4' } })
    const position = async () =>
      jsonLines<{ name: string; position: number }>((await run('projections', '--json')).stdout).find(({ name }) => name === 'counts')
        ?.position ?? 0
    await eventually(async () => expect(await position()).toBeGreaterThan(0))
    child.kill('SIGINT')
    await once(child, 'close')
    expect(child.exitCode).toBe(130)
    const reached = await position()
    expect(reached).toBeLessThan(5_000)
    // At once if the lease could be given back, else when it has expired.
    await eventually(async () =>
      expect(await run('doctor')).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('nobody builds it') }),
    )

    expect(await run('projection', 'rebuild', 'counts')).toMatchObject({ exitCode: 0 })
    expect(jsonLines((await run('projections', '--json')).stdout).filter(({ name }) => name === 'counts')).toMatchObject([
      { generation: '1.1', state: 'live', documents: 10, position: 5_000 },
    ])
    expect(await run('projection', 'verify', 'counts')).toMatchObject({ exitCode: 0 })
  }, 120_000)

  test('a rebuild of a projection that fails comes to an end and says why', async () => {
    const { run } = await storeWith(100)
    const { exitCode, stdout, stderr } = await run('projection', 'rebuild', 'broken')
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
    expect(stderr).toMatch(
      /^headwater: projection:broken@1\.1 stands still: ThingHappened at position 8 .*seven cannot be counted \[failed\]\n$/,
    )
    const doctor = await run('doctor')
    expect(doctor).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('seven cannot be counted') })
  }, 120_000)

  test('the tables of an SQL projection are filled anew', async () => {
    const { storage, run } = await storeWith(1_000)
    const store = await openStore(storage)
    const count = () =>
      store.driver.transaction(async (sql) => Number((await sql.query<{ n: number }>('SELECT count(*) AS n FROM thing_rows')).rows[0]?.n))
    expect(await run('projection', 'rebuild', 'rows')).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await count()).toBe(1_000)
    await store.driver.transaction((sql) => sql.query('DELETE FROM thing_rows WHERE n < 500'))
    expect(await run('projection', 'rebuild', 'rows')).toMatchObject({ exitCode: 0, stderr: '' })
    expect(await count()).toBe(1_000)
    expect(await run('projection', 'verify', 'rows')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('cannot be compared') })
  })

  test("an aggregate's state, now and at an earlier version", async () => {
    const { run } = await storeWith(100)
    expect(jsonLines((await run('stream', 'thing:3', '--state', '--json')).stdout)).toEqual([{ count: 10, last: 93 }])
    expect(jsonLines((await run('stream', 'thing:3', '--state', '--at', '2', '--json')).stdout)).toEqual([{ count: 2, last: 13 }])
    expect(await run('stream', 'nothing:3', '--state')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('has no aggregate nothing'),
    })
  })

  test('a projection that the service does not have', async () => {
    const { run } = await storeWith(1)
    expect(await run('projection', 'verify', 'nothing')).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('has no projection nothing; it has: counts, broken, rows'),
    })
  })
}
