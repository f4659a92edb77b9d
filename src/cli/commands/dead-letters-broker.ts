import type { Command } from 'commander'
import type { BrokerMove } from '../../transport/port.ts'
import { requireService } from '../app-module.ts'
import { run } from '../command.ts'
import { topicsOf } from '../consumed-topics.ts'
import type { BrokerLetters } from '../dead-letters/broker-letters.ts'
import { countBrokerLetters, requireBrokerDeadLetters } from '../dead-letters/broker-letters.ts'
import { withTransport } from '../open-transport.ts'
import type { Column } from '../output.ts'
import { formatAge, formatCount } from '../output.ts'
import { onePage } from '../pages.ts'

interface Options {
  readonly handler?: string
  readonly topic?: string
}

export function addBroker(deadLetters: Command): void {
  deadLetters
    .command('broker')
    .summary('list what the broker itself has put aside')
    .description(
      'Lists how many messages Amazon SQS has put aside by itself, where it is set to (`redrive` of sqs), for each handler and topic, and the last move back: those that it gave ' +
        'out again and again, because whoever got them died before anything could be written down. They are not among the other dead letters. Needs the module of --app with ' +
        '`service` and `transport`.',
    )
    .option('--handler <NAME>', 'only of this handler')
    .option('--topic <NAME>', 'only of this topic')
    .action(
      run<Options>(async ({ options, output }) => {
        const app = await requireService(options)
        const consumed = topicsOf(app.service, options)
        await withTransport(app, options, async (connection) => {
          const dead = requireBrokerDeadLetters(connection)
          const rows = await Promise.all(consumed.map((one) => countBrokerLetters(dead, one)))
          await output.table(columns(Date.now()), onePage(rows), (row) => row)
        })
      }),
    )
}

function columns(nowMs: number): readonly Column<BrokerLetters>[] {
  return [
    { title: 'handler', value: ({ handler }) => handler },
    { title: 'topic', value: ({ topic }) => topic },
    { title: 'put aside', value: ({ messages }) => messages ?? 'nothing, ever' },
    { title: 'last move back', value: ({ lastMove }) => (lastMove ? describeMove(lastMove, nowMs) : '') },
  ]
}

function describeMove({ failure, moved, startedMs, state, total }: BrokerMove, nowMs: number): string {
  const why = failure === undefined ? '' : `: ${failure}`
  const count = state === 'completed' ? formatCount(moved) : `${formatCount(moved)} of ${formatCount(total)}`
  return `${state}, ${count} moved, begun ${formatAge(nowMs - startedMs)} ago${why}`
}
