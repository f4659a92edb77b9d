import { setTimeout as delay } from 'node:timers/promises'
import { defineEvent, defineHandler, defineService, jsonSchema, silentLog, start } from 'headwater'
import { postgres } from 'headwater/postgres'
import { sqlite } from 'headwater/sqlite'
import { defineTopic } from 'headwater'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

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
  /** How long it takes, whatever its signal says. */
  readonly takesMs?: number
  /** How long nothing else happens in the process at the first attempt, heartbeats included. */
  readonly blocksMs?: number
}
const job = jsonSchema<Job>({ type: 'object', required: ['key', 'n'] })
const Asked = defineEvent('Asked', job)
const Done = defineEvent('Done', job)

const work = defineHandler(
  'work',
  { on: Asked, emits: Done, concurrency: 50, retry: { firstMs: 20, maxMs: 100, attempts: 8 }, key: ({ data }) => data.key },
  async ({ data }, { emit, attempt, signal }) => {
    if (data.killsAt > 0 && attempt >= data.killsAt) process.kill(process.pid, 'SIGKILL')
    if (data.blocksMs && attempt === 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, data.blocksMs)
    if (data.takesMs) await delay(data.takesMs)
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
const [store, transport, topic] = process.argv.slice(2).map((text) => JSON.parse(text) as unknown) as [
  Place,
  TransportPlace?,
  { readonly where: string; readonly sequenced?: boolean }?,
]
const { kind, where, schema = 'headwater' } = store
const topics = topic ? [defineTopic(topic.where, { events: [Asked], partitions: 3, sequenced: topic.sequenced ?? false })] : []
const app = await start(defineService('working', { handlers: [work], subscribes: topics }), {
  storage: kind === 'postgres' ? postgres(where, { schema }) : sqlite(where),
  ...(transport && { transport: openTransport(transport) }),
  log: silentLog,
  leaseMs: 600,
  pollMs: 100,
})
process.stdout.write('started\n')
process.on('SIGTERM', () => void app.stop().then(() => process.exit(0)))
