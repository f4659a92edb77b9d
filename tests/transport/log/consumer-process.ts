// Consumes a topic until it is killed. It writes down each message with its offset, and goes on behind the last one that anybody wrote down.
import { openSync, readFileSync, writeSync } from 'node:fs'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { sqlite } from '../../../src/storage/sqlite/index.ts'
import { log } from '../../../src/transport/log/index.ts'

const [kind, where = '', schema = '', file = ''] = process.argv.slice(2)
const storage = kind === 'postgres' ? postgres(where, { schema, poolSize: 2 }) : sqlite(where)
const ledger = openSync(file, 'a')
const connection = await log(storage, { leaseTtlMs: 400, pollMs: 100 }).connect({
  environment: environment({ log: silentLog }),
  clientName: `consumer ${process.pid}`,
})
await connection.subscribe({
  topic: 'numbers',
  group: 'group',
  startAt: { at: 'beginning' },
  maxMessages: 20,
  maxBytes: 1024 * 1024,
  releaseTimeoutMs: 1_000,
  async run(partition) {
    const last = readFileSync(file, 'utf8').trimEnd().split('\n').at(-1)
    for await (const batch of partition.read(last ? Number(last.split(' ')[1]) : undefined))
      for (const message of batch) {
        if (partition.revoked.aborted) return
        writeSync(ledger, `${process.pid} ${message.offset} ${Buffer.from(message.body).toString()}\n`)
        await partition.acknowledge([message])
      }
  },
})
