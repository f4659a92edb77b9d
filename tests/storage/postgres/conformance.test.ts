import pg from 'pg'
import { test } from 'vitest'
import { storageConformance } from '../../../src/conformance/index.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { describeOnPostgres } from '../../support/postgres.ts'

describeOnPostgres('the driver for PostgreSQL', (url) => {
  let stores = 0
  const open = async () => {
    const schema = `conformance_${process.pid}_${++stores}`
    const dispose = async () => {
      const client = new pg.Client(url)
      await client.connect()
      await client.query(`drop schema if exists ${schema} cascade`)
      await client.end()
    }
    return { storage: postgres(url, { schema, poolSize: 4 }), dispose }
  }

  for (const { group, name, run } of storageConformance({ open }))
    test.concurrent(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await run()
      if (outcome) skip(outcome.skipped)
    })
})
