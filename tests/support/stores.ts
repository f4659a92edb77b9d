import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, onTestFinished } from 'vitest'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import type { Storage } from '../../src/storage/port.ts'
import { describeOnPostgres } from './postgres.ts'
import pg from 'pg'

/** A new, empty store, removed when the test ends. Opened twice it is the same store. */
export type FreshStorage = () => Promise<Storage>

/** The same suite on SQLite and on PostgreSQL. */
export function describeOnEveryStore(name: string, suite: (fresh: FreshStorage) => void): void {
  describe(`${name} on SQLite`, () => suite(freshSqlite))
  describeOnPostgres(`${name} on PostgreSQL`, (url) => suite(() => freshPostgres(url)))
}

export async function freshSqlite(): Promise<Storage> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return sqlite(join(directory, 'test.db'))
}

export async function freshPostgres(url: string): Promise<Storage> {
  const schema = freshSchema()
  onTestFinished(() => dropSchema(url, schema))
  return postgres(url, { schema })
}

let schemas = 0

/** A name that no other test uses, in this process or another. */
export function freshSchema(): string {
  return `test_${process.pid}_${Date.now().toString(36)}_${++schemas}`
}

export async function dropSchema(url: string, schema: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`drop schema if exists ${schema} cascade`)
  await client.end()
}
