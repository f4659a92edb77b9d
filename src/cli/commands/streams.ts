import type { Command } from 'commander'
import type { StreamInfo } from '../../storage/port.ts'
import { run } from '../command.ts'
import { parseCount } from '../arguments.ts'
import { withStore } from '../open-store.ts'
import type { Column } from '../output.ts'
import { inPages } from '../pages.ts'

interface Options {
  readonly category?: string
  readonly limit?: number
}

const columns: readonly Column<StreamInfo>[] = [
  { title: 'version', value: ({ version }) => version },
  { title: 'position', value: ({ position }) => position },
  { title: 'stream', value: ({ stream }) => stream },
]

export function addStreams(program: Command): void {
  program
    .command('streams')
    .summary('list the streams')
    .description('Lists the streams in name order, with their last version and its position in the log.')
    .option('--category <NAME>', 'only streams of this category: the part of their name before the first ":"')
    .option('--limit <N>', 'at most so many', parseCount)
    .action(
      run<Options>(async ({ options, output }) => {
        const { category, limit = Infinity } = options
        await withStore(options, { migrate: false }, async (store) => {
          const streams = inPages(store.streams({ ...(category !== undefined && { category }) }), limit)
          const count = await output.table(columns, streams, (row) => row)
          if (count === 0 && !output.json)
            await output.say(
              category === undefined ? 'there are no streams' : `there are no streams of the category ${category}`,
              undefined,
            )
        })
      }),
    )
}
