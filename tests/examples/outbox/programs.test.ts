import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../../src/observability/log.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { dropSchema, freshSchema } from '../../support/stores.ts'

const root = join(import.meta.dirname, '../../..')
const run = promisify(execFile)

describeOnPostgres('the outbox', (url) => {
  for (const client of ['pg', 'drizzle', 'kysely'])
    test(`publishes from a transaction of ${client}, and nothing when it is rolled back`, async () => {
      const schema = freshSchema()
      onTestFinished(() => dropSchema(url, schema))
      const store = await EventStore.open(postgres(url, { schema }), { log: silentLog })
      onTestFinished(() => store.close())
      const placed = new pg.Client(url)
      await placed.connect()
      onTestFinished(() => placed.end())
      await placed.query('drop table if exists placed_orders')

      const args = ['--conditions=headwater-source', `examples/outbox/${client}.ts`, url, schema]
      const { stdout } = await run(process.execPath, args, { cwd: root, timeout: 80_000 })

      const { rows } = await placed.query<{ order_id: string; total: number }>('select * from placed_orders')
      await placed.query('drop table placed_orders')
      expect(rows).toEqual([{ order_id: expect.any(String), total: 42 }])
      const orderId = rows[0]!.order_id
      expect(stdout).toBe(`billing heard of ${orderId} over 42 €: event 1 of the log\n`)
      const events = []
      for await (const event of store.readLog()) events.push(event)
      expect(events).toMatchObject([{ type: 'OrderPlaced', source: 'shop', stream: `order:${orderId}`, data: { orderId, total: 42 } }])
    })
})
