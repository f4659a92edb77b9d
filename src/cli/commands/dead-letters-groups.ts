import type { Command } from 'commander'
import type { DeadLetterGroup } from '../../processing/dead-letters.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import { run } from '../command.ts'
import { findProcessors } from '../processors.ts'
import { withStore } from '../open-store.ts'
import type { Column } from '../output.ts'
import { formatAge, inOneLine } from '../output.ts'
import { onePage } from '../pages.ts'

interface Options {
  readonly processor?: string
}

export function addGroups(deadLetters: Command): void {
  deadLetters
    .command('groups')
    .summary('list the reasons for which messages failed')
    .description(
      'Lists what messages failed for, the most frequent first: how many failed, how many wait behind them, since when. Errors that differ only in ids, ' +
        'numbers and quoted texts count as the same.',
    )
    .option('--processor <NAME>', 'only of this handler')
    .action(
      run<Options>(async ({ options, output }) => {
        await withStore(options, { migrate: false }, async (store) => {
          const { processor } = options
          const groups = await new DeadLetters(store).groups(
            processor === undefined ? {} : { processor: await findProcessors(store, processor) },
          )
          if (groups.length > 0 || output.json)
            await output.table(columns(store.environment.clock.now()), onePage(groups), (group) => group)
          else await output.say('no message has failed', undefined)
        })
      }),
    )
}

function columns(nowMs: number): readonly Column<DeadLetterGroup>[] {
  const ago = (time: string): string => `${formatAge(nowMs - Date.parse(time))} ago`
  return [
    { title: 'reason', value: ({ fingerprint }) => fingerprint },
    { title: 'failed', value: ({ failed }) => failed },
    { title: 'waiting', value: ({ waiting }) => waiting },
    { title: 'first', value: ({ firstFailedAt }) => ago(firstFailedAt) },
    { title: 'last', value: ({ lastFailedAt }) => ago(lastFailedAt) },
    { title: 'processor', value: ({ processor }) => processor },
    { title: 'types', value: ({ types }) => types.join(', ') },
    { title: 'error', value: ({ error }) => inOneLine(error) },
  ]
}
