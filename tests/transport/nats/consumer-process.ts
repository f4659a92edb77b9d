// Consumes a topic until it is killed, and writes each message down before it is acknowledged.
import { openSync, writeSync } from 'node:fs'
import { environment } from '../../../src/observability/environment.ts'
import { nats } from '../../../src/transport/nats/index.ts'

const [servers = '', topic = '', file = ''] = process.argv.slice(2)
const ledger = openSync(file, 'a')
const connection = await nats({ servers, ackWaitMs: 1_000 }).connect({ environment: environment(), clientName: 'consumer' })
await connection.subscribe({
  topic,
  group: 'group',
  startAt: { at: 'beginning' },
  maxMessages: 100,
  maxBytes: 1024 * 1024,
  releaseTimeoutMs: 1_000,
  async run(partition) {
    for await (const batch of partition.read())
      for (const message of batch) {
        writeSync(ledger, `${message.key} ${Buffer.from(message.body).toString()}\n`)
        await partition.acknowledge([message])
      }
  },
})
