import { defineEvent, defineHandler, defineService, defineTopic, jsonSchema, silentLog, start } from 'headwater'
import { postgres } from 'headwater/postgres'
import { sqlite } from 'headwater/sqlite'
import type { Place } from './killing.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

/**
 * A process whose handler handles as many messages as it is allowed to, and which tells how much memory it takes.
 *
 *   node limited-process.ts STORE [TRANSPORT TOPIC]     each as JSON
 */
export interface Figures {
  readonly handled: number
  /** Messages that were understood and not handled yet, at most, since the last `Orders`. */
  readonly atHand: number
  readonly peakRssBytes: number
}

export interface Orders {
  /** How many messages may be handled, in all. Default: those that there are. */
  readonly allowed?: number
  /** Whether what was measured so far is forgotten. */
  readonly anew?: boolean
}

let allowed = 0
let begun = 0
let handled = 0
let understood = 0
let atHand = 0
let peakRssBytes = 0
const waiting: (() => void)[] = []

const checked = jsonSchema<{ key: string; text: string }>({ type: 'object', required: ['key', 'text'] })
const counting: typeof checked = {
  ...checked,
  '~standard': {
    ...checked['~standard'],
    validate(value) {
      atHand = Math.max(atHand, ++understood - handled)
      return checked['~standard'].validate(value)
    },
  },
}
const Asked = defineEvent('Asked', counting)

const work = defineHandler('work', { on: Asked, timeoutMs: 300_000, key: ({ data }) => data.key }, async () => {
  if (begun >= allowed) await new Promise<void>((resolve) => waiting.push(resolve))
  else begun++
  handled++
})

function measure(): void {
  peakRssBytes = Math.max(peakRssBytes, process.memoryUsage.rss())
}

process.on('message', (orders: Orders) => {
  allowed = orders.allowed ?? Infinity
  if (orders.anew) {
    atHand = 0
    peakRssBytes = 0
  }
  while (begun < allowed && waiting.length > 0) {
    begun++
    waiting.shift()!()
  }
})
process.on('disconnect', () => process.exit(0))

const [store, transport, topic] = process.argv.slice(2).map((text) => JSON.parse(text) as unknown) as [
  Place,
  TransportPlace?,
  { readonly where: string }?,
]
const { kind, where, schema = 'headwater' } = store
await start(defineService('working', { handlers: [work], subscribes: topic ? [defineTopic(topic.where, { events: [Asked] })] : [] }), {
  storage: kind === 'postgres' ? postgres(where, { schema }) : sqlite(where),
  ...(transport && { transport: openTransport(transport) }),
  log: silentLog,
  leaseMs: 5_000,
  pollMs: 100,
})
setInterval(measure, 5)
setInterval(() => {
  measure()
  process.send!({ handled, atHand, peakRssBytes } satisfies Figures)
}, 20)
