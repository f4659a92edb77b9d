import pg from 'pg'
import { onTestFinished } from 'vitest'
import type { RecordedEvent } from '../../../src/message/event.ts'
import type { StorageDriver } from '../../../src/storage/port.ts'
import type { PostgresOptions, PostgresPool } from '../../../src/storage/postgres/index.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import type { Committed, Verdict, WriteSet } from '../../../src/storage/write-set.ts'
import { dropSchema, freshSchema } from '../../support/stores.ts'

/** The name of a schema that is dropped when the test ends. */
export function schemaFor(url: string): string {
  const schema = freshSchema()
  onTestFinished(() => dropSchema(url, schema))
  return schema
}

export async function open(connection: string | PostgresPool, options: PostgresOptions): Promise<StorageDriver> {
  const driver = await postgres(connection, options).open({ migrate: true })
  onTestFinished(() => driver.close())
  return driver
}

/** A pool as a program may have made it for itself, with settings for each session: `-c name=value`. */
export function poolWith(url: string, settings?: string, max = 6): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max, ...(settings && { options: settings }) })
  onTestFinished(() => pool.end())
  return pool
}

/** A connection that has nothing to do with the store: somebody else, or the test looking at what the store did. */
export async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** The URL with a name by which the store's connections can be found in `pg_stat_activity`. */
export function named(url: string, applicationName: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}application_name=${applicationName}`
}

export async function wholeLog(driver: StorageDriver): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for (;;) {
    const page = await driver.readLog({ after: events.length, limit: 5_000 })
    if (page.length === 0) return events
    events.push(...page)
  }
}

export async function commitOne(driver: StorageDriver, set: WriteSet): Promise<Verdict> {
  const [verdict] = await driver.commit([set])
  return verdict!
}

export function committed(verdict: Verdict | undefined): Committed {
  if (verdict?.status !== 'committed') throw new Error(`not committed: ${JSON.stringify(verdict)}`)
  return verdict
}

/** A promise, and how it is kept from outside. */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { passed: promise, open: resolve }
}
