import { defineAggregate, defineEvent, defineHandler, defineProjection, defineService, defineSqlProjection, jsonSchema } from 'headwater'

const ThingHappened = defineEvent('ThingHappened', jsonSchema<{ n: number }>({ type: 'object', required: ['n'] }))

const thing = defineAggregate('thing', { id: 'id', initialState: () => ({ count: 0, last: -1 }) })
  .evolve({ ThingHappened }, { ThingHappened: (state, { data }) => ({ count: state.count + 1, last: data.n }) })
  .decide({}, {})

/** How long one event takes, so that a test can interrupt a rebuild. */
const pauseMs = Number(process.env['THINGS_PAUSE_MS'] ?? 0)

const counts = defineProjection('counts', (stream): { stream: string; count: number } => ({ stream, count: 0 })).fold(
  { ThingHappened },
  (event) => event.stream,
  {
    ThingHappened: (document) => {
      if (pauseMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs)
      return { ...document, count: document.count + 1 }
    },
  },
)

const broken = defineProjection('broken', () => ({ count: 0 })).fold({ ThingHappened }, (event) => event.stream, {
  ThingHappened: (document, { data }) => {
    if (data.n === 7) throw new Error('seven cannot be counted')
    return { count: document.count + 1 }
  },
})

const rows = defineSqlProjection(
  'rows',
  {
    on: ThingHappened,
    setUp: (sql) => sql.query('CREATE TABLE IF NOT EXISTS thing_rows (n INTEGER NOT NULL)'),
    tearDown: (sql) => sql.query('DROP TABLE IF EXISTS thing_rows'),
  },
  ({ data }, sql) => sql.query(`INSERT INTO thing_rows (n) VALUES (${data.n})`),
)

const watcher = defineHandler('watcher', { on: ThingHappened }, () => {})

/** What the tests of the command line give to `--app`. */
export const service = defineService('things', {
  aggregates: [thing],
  projections: [counts, broken],
  sqlProjections: [rows],
  handlers: [watcher],
})
