import type { Command } from 'commander'
import { DeadLetters } from '../../processing/dead-letters.ts'
import type { OperatorAction } from '../../processing/operator-action.ts'
import { parseAmount } from '../arguments.ts'
import { run } from '../command.ts'
import { withStore } from '../open-store.ts'
import type { Column } from '../output.ts'
import { formatAge, inOneLine } from '../output.ts'
import { onePage } from '../pages.ts'

interface Options {
  readonly letter?: string
  readonly limit?: number
}

export function addActions(deadLetters: Command): void {
  deadLetters
    .command('actions')
    .summary('list what operators have asked for')
    .description('Lists what was asked for, by whom, why, and what came of it, the latest first. What nobody has done yet is "requested".')
    .option('--letter <ID>', 'only for this message, which need not be there any more')
    .option('--limit <N>', 'at most so many (default: 100)', parseAmount)
    .action(
      run<Options>(async ({ options, output }) => {
        await withStore(options, { migrate: false }, async (store) => {
          const { letter, limit } = options
          const actions = await new DeadLetters(store).actions({
            ...(limit !== undefined && { limit }),
            ...(letter !== undefined && { letter }),
          })
          const nowMs = store.environment.clock.now()
          if (actions.length > 0 || output.json) await output.table(columns(nowMs), onePage(actions), (action) => action)
          else await output.say('nothing was asked for', undefined)
        })
      }),
    )
}

function columns(nowMs: number): readonly Column<OperatorAction>[] {
  return [
    { title: 'asked', value: ({ requestedAt }) => `${formatAge(nowMs - Date.parse(requestedAt))} ago` },
    { title: 'by', value: ({ by }) => by },
    { title: 'action', value: ({ kind }) => kind },
    { title: 'id', value: ({ letter }) => letter },
    { title: 'state', value: ({ state }) => state },
    { title: 'outcome', value: ({ outcome }) => outcome ?? '' },
    { title: 'why', value: ({ reason }) => inOneLine(reason) },
  ]
}
