import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, test } from 'vitest'
import type { TransportHarness } from '../../../src/conformance/index.ts'
import { transportConformance } from '../../../src/conformance/index.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { sqlite } from '../../../src/storage/sqlite/index.ts'
import { startTcpProxy } from '../../../src/testing/index.ts'
import { log } from '../../../src/transport/log/index.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { dropSchema, freshSchema } from '../../support/stores.ts'

function testAll(harness: TransportHarness): void {
  for (const { group, name, run } of transportConformance(harness))
    test.concurrent(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await run()
      if (outcome) skip(outcome.skipped)
    })
}

describe('the log transport on SQLite', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'headwater-log-'))
  })
  afterAll(() => rm(directory, { recursive: true }))

  testAll({
    transport: { name: 'log', connect: (options) => log(sqlite(join(directory, 'messages.db'))).connect(options) },
  })
})

describeOnPostgres('the log transport on PostgreSQL', (url) => {
  const schema = freshSchema()
  afterAll(() => dropSchema(url, schema))

  testAll({
    transport: log(postgres(url, { schema, poolSize: 3 })),
    unreachable: log(postgres('postgres://nobody@127.0.0.1:1/nothing')),
    async interruptible() {
      const { hostname, port } = new URL(url)
      const proxy = await startTcpProxy({ host: hostname, port: Number(port || 5432) })
      const through = new URL(url)
      through.hostname = '127.0.0.1'
      through.port = String(proxy.port)
      return { ...proxy, transport: log(postgres(through.href, { schema, poolSize: 3 })) }
    },
  })
})
