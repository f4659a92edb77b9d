import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { recordAction } from '../../processing/operator-action.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { BrokerDeadLetters } from '../../transport/port.ts'
import { requireService } from '../app-module.ts'
import { parseAmount } from '../arguments.ts'
import { run } from '../command.ts'
import { topicsOf } from '../consumed-topics.ts'
import type { BrokerLetters } from '../dead-letters/broker-letters.ts'
import { countBrokerLetters, requireBrokerDeadLetters } from '../dead-letters/broker-letters.ts'
import { operator } from '../dead-letters/carry-out.ts'
import { withStore } from '../open-store.ts'
import { withTransport } from '../open-transport.ts'
import { countOf } from '../output.ts'

interface Options {
  readonly topic?: string
  readonly rate?: number
  readonly dryRun?: boolean
  readonly cancel?: boolean
  readonly by?: string
  readonly reason?: string
}

type Done = BrokerLetters & { readonly done: 'nothing' | 'would-move' | 'moving' | 'cancelled' }

export function addMoveBack(deadLetters: Command): void {
  deadLetters
    .command('move-back <HANDLER>')
    .summary('have the broker give the handler what it put aside')
    .description(
      'Has Amazon SQS move what it put aside for the handler back to its queue, and returns when that has begun; headwater dead-letters broker shows how far it is. The messages ' +
        'come as new ones, behind whatever came meanwhile of their key. Mend first what killed the processes that got them, or they will do it again.',
    )
    .option('--topic <NAME>', 'only what came from this topic')
    .option('--rate <N>', 'at most so many messages a second, up to 500 (default: as fast as SQS likes)', parseRate)
    .option('--dry-run', 'only say what would be moved')
    .option('--cancel', 'stop the move that is under way; what was moved stays so')
    .option('--by <NAME>', 'who asks for it, for the record (default: the user of this machine)')
    .option('--reason <TEXT>', 'why, for the record')
    .action(
      run<Options, readonly [string]>(async ({ options, output }, handler) => {
        const app = await requireService(options)
        const consumed = topicsOf(app.service, { handler, ...(options.topic !== undefined && { topic: options.topic }) })
        await withTransport(app, options, async (connection) => {
          const dead = requireBrokerDeadLetters(connection)
          const found = await Promise.all(consumed.map((one) => countBrokerLetters(dead, one)))
          const tell = (done: Done): Promise<void> => output.say(describe(done), done)
          if (options.dryRun) for (const letters of found) await tell({ ...letters, done: letters.messages ? 'would-move' : 'nothing' })
          else
            await withStore(options, { migrate: false }, async (store) => {
              for (const letters of found) await tell({ ...letters, done: await carryOut(store, dead, letters, options) })
            })
        })
      }),
    )
}

async function carryOut(store: EventStore, dead: BrokerDeadLetters, letters: BrokerLetters, options: Options): Promise<Done['done']> {
  const { group, messages, processor, topic } = letters
  const { by = operator(), cancel = false, rate, reason = '' } = options
  if (messages === null || (messages === 0 && !cancel)) return 'nothing'
  if (cancel) {
    if (!(await dead.cancelMove(topic, group))) return 'nothing'
    await recordAction(store, { kind: 'cancel-move', processor, by, reason, outcome: 'the move back was stopped' })
    return 'cancelled'
  }
  await dead.moveBack(topic, group, rate === undefined ? {} : { perSecond: rate })
  const outcome = `the broker began to move ${countOf(messages, 'message')} back${rate === undefined ? '' : `, ${rate} a second`}`
  await recordAction(store, { kind: 'move-back', processor, by, reason, outcome })
  return 'moving'
}

function describe({ done, handler, messages, topic }: Done): string {
  const whose = `${handler} on ${topic}`
  const count = countOf(messages ?? 0, 'message')
  switch (done) {
    case 'would-move':
      return `${whose}: ${count} would be moved back`
    case 'moving':
      return `${whose}: about ${count} are being moved back; see headwater dead-letters broker`
    case 'cancelled':
      return `${whose}: the move back was stopped; about ${count} are still put aside`
    default:
      return `${whose}: ${messages === null ? 'the broker puts nothing aside (`redrive` of sqs is off)' : 'there is nothing to do'}`
  }
}

function parseRate(text: string): number {
  const rate = parseAmount(text)
  if (rate > 500) throw new InvalidArgumentError('SQS takes at most 500.')
  return rate
}
