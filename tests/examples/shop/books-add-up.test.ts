import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { describeOnPostgres } from '../../support/postgres.ts'
import { ShopProcess, temporaryDirectory } from './start-shop.ts'

describe('on SQLite', () => {
  test('200 orders at once', { timeout: 300_000 }, () => placesOrders('sqlite:shop.db'))
  test('killed half-way and started again', { timeout: 300_000 }, () => survivesKill('sqlite:shop.db'))
  test('a service that comes later knows everything', { timeout: 300_000 }, () => welcomesLateComer('sqlite:shop.db'))
})

describeOnPostgres('on PostgreSQL', (url) => {
  test('200 orders at once', { timeout: 300_000 }, () => placesOrders(storageOn(url)))
  test('killed half-way and started again', { timeout: 300_000 }, () => survivesKill(storageOn(url)))
})

async function placesOrders(storage: string): Promise<void> {
  const { code, output } = await new ShopProcess(temporaryDirectory(), ['--orders', '200', '--storage', storage]).ended
  expect(output).toContain('200 placed')
  expect(output).toContain('The books add up.')
  expect(code).toBe(0)
}

async function survivesKill(storage: string): Promise<void> {
  const directory = temporaryDirectory()
  const first = new ShopProcess(directory, ['--orders', '100000', '--storage', storage])
  await first.printed(/shipped [1-9]/)
  first.kill('SIGKILL')
  expect((await first.ended).signal).toBe('SIGKILL')

  const { code, output } = await new ShopProcess(directory, ['--orders', '20', '--storage', storage]).ended
  expect(output).toContain('The books add up.')
  expect(code).toBe(0)
}

async function welcomesLateComer(storage: string): Promise<void> {
  const directory = temporaryDirectory()
  const without = await new ShopProcess(directory, ['--orders', '30', '--storage', storage, '--without-analytics']).ended
  expect(without.output).toMatch(/documents in 4 read models/)
  expect(without.code).toBe(0)

  const { code, output } = await new ShopProcess(directory, ['--orders', '0', '--storage', storage]).ended
  expect(output).toContain('30 placed')
  expect(output).toMatch(/documents in 5 read models/)
  expect(code).toBe(0)
}

/** A schema of its own for each test. */
function storageOn(url: string): string {
  const schema = `shop_${randomUUID().replaceAll('-', '')}`
  onTestFinished(async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    await client.query(`DROP SCHEMA IF EXISTS ${schema} CASCADE`)
    await client.end()
  })
  const storage = new URL(url)
  storage.searchParams.set('schema', schema)
  return storage.href
}
