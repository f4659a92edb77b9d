import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import type { ResetPlace } from '../../processing/reset.ts'
import type { StartPosition } from '../../processing/start-position.ts'
import type { ResetResult } from '../../service/reset.ts'
import { describeStart, resetHandler } from '../../service/reset.ts'
import { requireService } from '../app-module.ts'
import { parseCount } from '../arguments.ts'
import { run } from '../command.ts'
import { operator } from '../dead-letters/carry-out.ts'
import { withStore } from '../open-store.ts'
import { countOf, formatCount } from '../output.ts'
import { followsLog } from '../processors.ts'

interface Options {
  readonly to: StartPosition
  readonly replay?: boolean
  readonly topic?: string
  readonly by?: string
  readonly reason?: string
}

export function addReset(handler: Command): void {
  handler
    .command('reset <NAME>')
    .summary('have it go on from somewhere else')
    .description(
      'Puts the handler back or forward. Where it runs, it goes on from there by itself. Forward, what is between is never handled. Back, a handler of topics ' +
        'leaves out what its inbox remembers, and one of the log is only put back with --replay. It is refused while messages of it are held back: see headwater ' +
        'dead-letters list. For topics, the module of --app must export `transport` too.',
    )
    .requiredOption(
      '--to <PLACE>',
      'beginning, now, a time such as 2026-03-15T12:00:00Z, or a position of the log, after which it goes on',
      parsePlace,
    )
    .option('--replay', 'have everything from there on handled again, what was handled before included')
    .option('--topic <NAME>', 'only what it gets from this topic')
    .option('--by <NAME>', 'who asks for it, for the record (default: the user of this machine)')
    .option('--reason <TEXT>', 'why, for the record')
    .action(
      run<Options, readonly [string]>(async ({ options, output }, name) => {
        const { service, transport } = await requireService(options)
        const { to, by = operator(), reason, replay, topic } = options
        await withStore(options, { migrate: false }, async (store) => {
          const connection = await transport?.connect({ environment: store.environment, clientName: service.name })
          try {
            const result = await resetHandler({ service, store, connection }, name, to, {
              by,
              ...(reason !== undefined && { reason }),
              ...(replay !== undefined && { replay }),
              ...(topic !== undefined && { topic }),
            })
            await output.say(describe(result, to), result)
          } finally {
            await connection?.close()
          }
        })
      }),
    )
}

function parsePlace(text: string): StartPosition {
  if (text === 'beginning' || text === 'now') return text
  if (/^\d+$/.test(text)) return { after: parseCount(text) }
  const hasZone = /(Z|[+-]\d{2}:?\d{2})$/i.test(text)
  // A day, as the programming language has it, is one of UTC.
  const time = new Date(hasZone || !text.includes('T') ? text : `${text}Z`)
  if (!/^\d{4}-\d{2}-\d{2}/.test(text) || Number.isNaN(time.getTime()))
    throw new InvalidArgumentError(
      'It must be beginning, now, a time such as 2026-03-15 or 2026-03-15T12:00:00Z, or a position such as 4711.',
    )
  return { time }
}

function describe({ handler, places, replay }: ResetResult, to: StartPosition): string {
  const again = replay
    ? 'everything from there on is handled, what was handled before included'
    : 'what it is known to have handled is left out'
  return [
    `${handler} goes on from ${describeStart(to)}; ${again}`,
    ...places.map(describePlace),
    'where it runs, it does so by itself within seconds; else when it is started',
  ].join('\n')
}

function describePlace({ processor, from, to, behind }: ResetPlace): string {
  const place = (position: number | undefined): string => (position === undefined ? '(none)' : formatCount(position))
  const move = to === undefined ? '' : `${place(from)} → ${place(to)}, `
  return `  ${processor}: ${move}${countOf(behind, followsLog(processor) ? 'event' : 'message')} behind`
}
