import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startPostgres } from '../../scripts/postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A PostgreSQL on which a test may create databases; undefined when there is none on this machine. */
    databaseUrl: string | undefined
    /** Why there is none. */
    databaseProblem: string | undefined
  }
}

/** Gives every test file the same real PostgreSQL: the one named by DATABASE_URL, else one that lives as long as the test run. */
export default async function setup({ provide }: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['DATABASE_URL']
  if (given) {
    await connect(given) // A server that was asked for and does not answer is a failure, never a reason to leave suites out.
    provide('databaseUrl', given)
    return undefined
  }
  try {
    const server = await startPostgres()
    provide('databaseUrl', server.url)
    return server.stop
  } catch (error) {
    if (process.env['HEADWATER_REQUIRE_ALL']) throw error
    provide('databaseProblem', error instanceof Error ? error.message : String(error))
    return undefined
  }
}

async function connect(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  await client.connect()
  await client.end()
}
