import { defineEvent, defineHandler, defineService, jsonSchema, silentLog, start } from 'headwater'
import { postgres } from 'headwater/postgres'
import { sqlite } from 'headwater/sqlite'
import { kafka } from 'headwater/kafka'
import { log } from 'headwater/log'
import { nats } from 'headwater/nats'
import { rabbitmq } from 'headwater/rabbitmq'
import { sqs } from 'headwater/sqs'
import type { Transport } from 'headwater'
import { defineTopic } from 'headwater'

/**
 * A process that handles slowly, many at a time, and may be killed at any moment; some messages fail at first, and some kill it by themselves.
 *
 *   node killed-process.ts STORE [TRANSPORT TOPIC]     each as JSON
 */
export interface Job {
  readonly key: string
  readonly n: number
  /** How many attempts fail. */
  readonly fails: number
  /** At which attempt, and later, it ends the process. */
  readonly killsAt: number
}
const job = jsonSchema<Job>({ type: 'object', required: ['key', 'n'] })
const Asked = defineEvent('Asked', job)
const Done = defineEvent('Done', job)

const work = defineHandler(
  'work',
  { on: Asked, emits: Done, concurrency: 50, retry: { firstMs: 20, maxMs: 100, attempts: 8 }, key: ({ data }) => data.key },
  async ({ data }, { emit, attempt, signal }) => {
    if (data.killsAt > 0 && attempt >= data.killsAt) process.kill(process.pid, 'SIGKILL')
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, data.n % 25)
      signal.addEventListener('abort', () => data.n % 2 === 0 && (clearTimeout(timer), resolve()))
    })
    signal.throwIfAborted()
    if (attempt <= data.fails) throw new Error('not yet')
    emit(Done(data))
  },
)

interface Place {
  readonly kind: string
  readonly where: string
  readonly schema?: string
}
const [store, transport, topic] = process.argv.slice(2).map((text) => JSON.parse(text) as Place)
const { kind, where, schema = 'headwater' } = store!
const topics = topic ? [defineTopic(topic.where, { events: [Asked], partitions: 3 })] : []
const transports: Readonly<Record<string, (at: string) => Transport>> = {
  kafka: (at) => kafka({ brokers: at.split(','), sessionTimeoutMs: 2_000, heartbeatMs: 200 }),
  rabbitmq: (at) => rabbitmq({ url: at }),
  nats: (at) => nats({ servers: at, ackWaitMs: 1_000 }),
  sqs: (at) =>
    sqs({
      endpoint: at,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
      queueCacheMs: 50,
      waitTimeSec: 1,
      visibilityTimeoutSec: 2,
    }),
  log: (at) => log(sqlite(at)),
}
const broker = transport && transports[transport.kind]!(transport.where)
const app = await start(defineService('working', { handlers: [work], subscribes: topics }), {
  storage: kind === 'postgres' ? postgres(where, { schema }) : sqlite(where),
  ...(broker && { transport: broker }),
  log: silentLog,
  leaseMs: 600,
  pollMs: 100,
})
process.stdout.write('started\n')
process.on('SIGTERM', () => void app.stop().then(() => process.exit(0)))
