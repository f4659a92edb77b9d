import pg from 'pg'
import { test } from 'vitest'
import { storageConformance } from '../../../src/conformance/index.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { describeOnPostgres } from '../../support/postgres.ts'

// What users set for themselves must not weaken what the store promises.
const settings = '-c default_transaction_isolation=serializable -c synchronous_commit=off'

describeOnPostgres('the driver for PostgreSQL in a pool of its user', (url) => {
  let stores = 0
  const open = async () => {
    const schema = `borrowed_${process.pid}_${++stores}`
    const pool = new pg.Pool({ connectionString: url, max: 8, options: settings })
    const dispose = async () => {
      await pool.query(`set lock_timeout = 0; drop schema if exists ${schema} cascade`)
      await pool.end()
    }
    return { storage: postgres(pool, { schema }), dispose }
  }

  for (const { group, name, run } of storageConformance({ open }))
    test.concurrent(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await run()
      if (outcome) skip(outcome.skipped)
    })
})
