import {
  defineAggregate,
  defineCommand,
  defineEvent,
  defineHandler,
  defineProjection,
  defineService,
  jsonSchema,
  silentLog,
  start,
} from 'headwater'
import { postgres } from 'headwater/postgres'
import { sqlite } from 'headwater/sqlite'

/** A process of a service whose read model counts and whose handler emits: a lost, doubled or late write would show in both. */
const item = jsonSchema<{ key: string }>({ type: 'object' })
const Counted = defineEvent('Counted', item)
const Seen = defineEvent('Seen', item)
const Count = defineCommand('Count', item)
const counter = defineAggregate('counter', { id: 'key', initialState: () => 0 })
  .evolve({ Counted }, { Counted: (state) => state + 1 })
  .decide({ Count }, { Count: (_state, { data }) => Counted(data) })
const counts = defineProjection('counts', (key): { key: string; count: number } => ({ key, count: 0 })).fold(
  { Counted },
  (event) => event.data.key,
  {
    Counted: (document) => ({ ...document, count: document.count + 1 }),
  },
)
const see = defineHandler('see', { on: Counted, emits: Seen }, (event, ctx) => ctx.emit(Seen(event.data)))

const [kind, where = '', schema = 'headwater'] = process.argv.slice(2)
const storage = kind === 'postgres' ? postgres(where, { schema }) : sqlite(where)
const app = await start(defineService('counting', { aggregates: [counter], handlers: [see], projections: [counts] }), {
  storage,
  log: silentLog,
  leaseMs: 600,
  pollMs: 100,
})
process.on('SIGTERM', () => void app.stop().then(() => process.exit(0)))
