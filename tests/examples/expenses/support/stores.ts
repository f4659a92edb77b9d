import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { describe, onTestFinished } from 'vitest'
import { describeOnPostgres } from '../../../support/postgres.ts'

/** The name of a new, empty store, as `--storage` takes it, which other processes can open too. It is removed when the test ends. */
export type FreshStore = () => Promise<string>

/** The same suite on SQLite and on PostgreSQL. */
export function describeOnEveryNamedStore(name: string, suite: (fresh: FreshStore) => void): void {
  describe(`${name} on SQLite`, () => suite(freshSqlite))
  describeOnPostgres(`${name} on PostgreSQL`, (url) => suite(() => freshDatabase(url)))
}

export async function freshDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-test-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export async function freshSqlite(): Promise<string> {
  return `sqlite:${join(await freshDirectory(), 'test.db')}`
}

let databases = 0

export async function freshDatabase(url: string): Promise<string> {
  const name = `expenses_${process.pid}_${Date.now().toString(36)}_${++databases}`
  await run(url, `create database ${name}`)
  onTestFinished(() => run(url, `drop database ${name} with (force)`))
  const own = new URL(url)
  own.pathname = `/${name}`
  return own.href
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
