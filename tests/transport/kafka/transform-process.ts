// A transforming process that may be killed at any moment.
//
//   node transform-process.ts BROKERS NAME
import { setTimeout as delay } from 'node:timers/promises'
import { silentLog } from '../../../src/observability/log.ts'
import { startTransform } from '../../../src/transport/kafka/index.ts'
import { Counted, Doubled, Logged, stageOf } from './transformed.ts'

const [brokers = '', name = ''] = process.argv.slice(2)
const { from, doubled, logged } = stageOf(name)

await startTransform(
  {
    brokers,
    group: name,
    from,
    on: Counted,
    to: [doubled, logged],
    emits: [Doubled, Logged],
    sessionTimeoutMs: 2_000,
    heartbeatMs: 200,
    log: silentLog,
  },
  async ({ data: { key, number } }) => {
    if (number % 3 === 0) await delay(5)
    return [Doubled({ key, number, twice: 2 * number }), Logged({ key, number })]
  },
)
