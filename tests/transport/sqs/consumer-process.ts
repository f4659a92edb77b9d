// Consumes a topic until it is killed. Each message is in the file, synced, before it is acknowledged.
import { fsyncSync, openSync, writeSync } from 'node:fs'
import { environment } from '../../../src/observability/environment.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'
import { near } from './support.ts'

const [endpoint = '', topic = '', file = ''] = process.argv.slice(2)
const ledger = openSync(file, 'a')
const connection = await sqs(near(endpoint, { visibilityTimeoutSec: 2 })).connect({ environment: environment(), clientName: 'consumer' })
await connection.subscribe({
  topic,
  group: 'group',
  startAt: { at: 'end' },
  maxMessages: 50,
  maxBytes: 1024 * 1024,
  releaseTimeoutMs: 1_000,
  async run(partition) {
    for await (const batch of partition.read()) {
      writeSync(ledger, batch.map(({ key, body }) => `${key} ${Buffer.from(body).toString()}\n`).join(''))
      fsyncSync(ledger)
      await partition.acknowledge(batch)
    }
  },
})
