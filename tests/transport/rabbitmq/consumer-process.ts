// Consumes a group until it is killed; says on its standard output what it acknowledges.
//
//   node consumer-process.ts <url> <topic> <group>
import { setTimeout as delay } from 'node:timers/promises'
import { environment } from '../../../src/observability/environment.ts'
import { rabbitmq } from '../../../src/transport/rabbitmq/index.ts'

const [url = '', topic = '', group = ''] = process.argv.slice(2)
const connection = await rabbitmq({ url }).connect({ environment: environment(), clientName: 'consumer-process' })
await connection.subscribe({
  topic,
  group,
  startAt: { at: 'end' },
  maxMessages: 50,
  maxBytes: 1_000_000,
  releaseTimeoutMs: 1_000,
  async run(partition) {
    for await (const batch of partition.read())
      for (const message of batch) {
        // What waits in this process for a slow reader would be acknowledged and never said.
        await new Promise((resolve) => process.stdout.write(`${Buffer.from(message.body).toString()}\n`, resolve))
        // Slowly enough to be killed before all is done by somebody who looks late.
        await delay(1)
        await partition.acknowledge([message])
      }
  },
})
