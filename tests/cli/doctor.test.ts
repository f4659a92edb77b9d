import { describe, expect, test } from 'vitest'
import type { EventStore } from '../../src/storage/event-store.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { FreshStore } from './program.ts'
import { eventLines, freshPostgresDatabase, freshSqliteFile, jsonLines, openStore, runCli } from './program.ts'

interface Finding {
  readonly check: string
  readonly status: 'ok' | 'warning' | 'problem'
  readonly detail: string
  readonly advice?: string
}

describe('on SQLite', () => suite(freshSqliteFile, 'headwater_events'))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgresDatabase(url), 'headwater.events'))

function suite(fresh: FreshStore, events: string): void {
  async function withDamage(damage: (store: EventStore) => Promise<unknown>): Promise<(...args: string[]) => Promise<readonly Finding[]>> {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(3_000) })
    await damage(await openStore(storage))
    return async (...args) => {
      const { exitCode, stdout } = await runCli(['doctor', '--json', '--storage', storage, ...args])
      const [report] = jsonLines<{ ok: boolean; findings: readonly Finding[] }>(stdout)
      const found = report!.findings.filter(({ status }) => status !== 'ok')
      const problems = found.filter(({ status }) => status === 'problem')
      expect({ exitCode, ok: report!.ok }).toEqual(problems.length > 0 ? { exitCode: 1, ok: false } : { exitCode: 0, ok: true })
      return found
    }
  }

  test('a position that is missing', async () => {
    const examine = await withDamage((store) => store.driver.transaction((sql) => sql.query(`DELETE FROM ${events} WHERE position = 1234`)))
    const gap = {
      check: 'log',
      status: 'problem',
      detail: 'the log goes from position 1233 to 1235: 1234 is missing',
      advice: expect.any(String),
    }
    expect(await examine()).toContainEqual(gap)
    expect(await examine('--full')).toContainEqual(gap)
  })

  test('a version of a stream that is missing', async () => {
    const examine = await withDamage((store) =>
      store.driver.transaction((sql) => sql.query(`UPDATE ${events} SET version = version + 1 WHERE position = 3000`)),
    )
    expect(await examine('--full')).toContainEqual(
      expect.objectContaining({ check: 'streams', status: 'problem', detail: expect.stringContaining('3,001') }),
    )
  })

  test('a checkpoint beyond the end of the log', async () => {
    const examine = await withDamage(async ({ driver: { processors } }) => {
      await processors.claim({ processor: 'handler:ahead', owner: 'test', ttlMs: 1, startAt: 0 })
      await processors.reset({ processor: 'handler:ahead', position: 5_000 })
    })
    expect(await examine()).toContainEqual(
      expect.objectContaining({ check: 'handler:ahead', status: 'problem', detail: expect.stringContaining('beyond the end of the log') }),
    )
  })

  test('a processor that stands still, and one that nobody runs', async () => {
    const examine = await withDamage(async ({ driver: { processors } }) => {
      const claim = await processors.claim({ processor: 'handler:stuck', owner: 'test', ttlMs: 60_000, startAt: 10 })
      if (!claim.claimed) throw new Error('not claimed')
      await processors.report({ processor: 'handler:stuck', epoch: claim.epoch, failure: 'OrderPlaced at position 11: no such customer' })
      await processors.claim({ processor: 'handler:left', owner: 'test', ttlMs: 60_000, startAt: 20 })
      await processors.release({ owner: 'test', processors: ['handler:left'] })
    })
    const found = await examine()
    expect(found).toContainEqual(
      expect.objectContaining({ check: 'handler:stuck', status: 'problem', detail: expect.stringContaining('no such customer') }),
    )
    expect(found).toContainEqual(
      expect.objectContaining({ check: 'handler:left', status: 'warning', detail: 'nobody runs it; it is 2,980 events behind' }),
    )
  })

  test('a read model that nobody builds to its end', async () => {
    const examine = await withDamage(({ driver: { documents } }) =>
      documents.create({ id: 'orders@1.1', projection: 'orders', version: 1, indexed: [], searchable: false }),
    )
    expect(await examine()).toEqual([
      expect.objectContaining({
        check: 'orders@1.1',
        status: 'warning',
        advice: expect.stringContaining('headwater projection rebuild orders'),
      }),
    ])
  })
}

test('without a store it checks the program alone', async () => {
  const { exitCode, stdout } = await runCli(['doctor'])
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/✓ node: 24\..*\n✓ sqlite: .*\n/)
  expect(stdout).toContain('! store: none was named')
})
