// A consumer that may be killed at any moment. Its effect and its checkpoint are one line of a file: what a store would commit together.
//
//   node consumer-process.ts BROKERS TOPIC GROUP DIRECTORY
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { kafka } from '../../../src/transport/kafka/index.ts'

const [brokers = '', topic = '', group = '', directory = ''] = process.argv.slice(2)
const transport = kafka({ brokers, sessionTimeoutMs: 2_000, heartbeatMs: 200 })
const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: `consumer-${process.pid}` })

await connection.subscribe({
  topic,
  group,
  startAt: { at: 'beginning' },
  maxMessages: 50,
  maxBytes: 100_000,
  releaseTimeoutMs: 2_000,
  async run(partition) {
    const file = join(directory, String(partition.number))
    const lines = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
    const after = lines.at(-1)?.split(' ')[0]
    for await (const batch of partition.read(after === undefined ? undefined : Number(after))) {
      for (const { offset, key, body } of batch) {
        if (partition.revoked.aborted) return
        appendFileSync(file, `${offset} ${key} ${Buffer.from(body).toString()}\n`)
      }
      await partition.acknowledge(batch)
    }
  },
})
