import type { Command } from 'commander'
import { loadAggregate, stateAt } from '../../aggregate/load.ts'
import type { AnyAggregate } from '../../aggregate/aggregate.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { categoryOf } from '../../storage/stream-name.ts'
import { requireService } from '../app-module.ts'
import type { At } from '../arguments.ts'
import { parseAt } from '../arguments.ts'
import type { GlobalOptions } from '../command.ts'
import { run } from '../command.ts'
import { streamColumns } from '../event-table.ts'
import { NotFoundError, UsageError } from '../exit-codes.ts'
import { withStore } from '../open-store.ts'
import type { Output } from '../output.ts'
import { inPages } from '../pages.ts'

interface Options {
  readonly at?: At
  readonly state?: boolean
}

export function addStream(program: Command): void {
  program
    .command('stream <ID>')
    .summary('show the events of a stream, or its state, now or at an earlier time')
    .description('Shows the events of a stream; with --state, the state that its aggregate makes of them.')
    .option(
      '--at <WHEN>',
      'as it was at this version (12) or time (2026-03-15T12:00:00Z, or 2026-03-15 for the end of that day, UTC)',
      parseAt,
    )
    .option('--state', "the aggregate's state instead of the events; needs the definitions, see --app")
    .action(
      run<Options, readonly [string]>(async ({ options, output }, stream) => {
        await withStore(options, { migrate: false }, async (store) => {
          if (options.state) await printState(options, output, store, stream)
          else await printEvents(options, output, store, stream)
        })
      }),
    )
}

async function printEvents({ at }: Options, output: Output, store: EventStore, stream: string): Promise<void> {
  const until = at && ('version' in at ? { toVersion: at.version } : { until: at.time })
  const count = await output.table(streamColumns, inPages(store.readStream(stream, until), Infinity), (event) => event)
  if (count === 0) throw new NotFoundError(`the stream ${stream} has no events${at ? ' up to there' : ''}`)
}

async function printState({ at, ...options }: Options & GlobalOptions, output: Output, store: EventStore, stream: string): Promise<void> {
  const { service, path } = await requireService(options)
  const category = categoryOf(stream)
  const aggregate: AnyAggregate | undefined = service.parts.aggregates.find(({ name }) => name === category)
  if (!aggregate) throw new UsageError(`${path} has no aggregate ${category}`)
  const state = at ? await stateAt(store, aggregate, stream, at) : (await loadAggregate(store, aggregate, stream)).state
  await output.say(JSON.stringify(state, undefined, 2), state)
}
