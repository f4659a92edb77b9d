import type { Command } from 'commander'
import type { RecordedEvent } from '../../message/event.ts'
import { LogTail } from '../../processing/log-tail.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { LogFilter } from '../../storage/port.ts'
import { collect, parseCount } from '../arguments.ts'
import { run } from '../command.ts'
import { logColumns } from '../event-table.ts'
import { interruptible } from '../interruption.ts'
import { withStore } from '../open-store.ts'
import { formatCount } from '../output.ts'
import { inPages } from '../pages.ts'

interface Options {
  readonly follow?: boolean
  readonly after?: number
  readonly last?: number
  readonly limit?: number
  readonly type?: readonly string[]
  readonly category?: readonly string[]
  readonly correlation?: string
}

export function addLog(program: Command): void {
  program
    .command('log')
    .summary('show the log, or follow it')
    .description('Shows the events of all streams in the order of their commits. With --follow, goes on until Ctrl-C.')
    .option('--follow', 'wait for further events; begins with the last 10 unless --after or --last is given')
    .option('--after <POSITION>', 'begin after this position', parseCount)
    .option('--last <N>', 'begin N positions before the end of the log', parseCount)
    .option('--limit <N>', 'end after N events', parseCount)
    .option('--type <TYPE>', 'only events of this type (may be repeated)', collect)
    .option('--category <NAME>', 'only streams of this category (may be repeated)', collect)
    .option('--correlation <ID>', 'only events with this correlation id')
    .action(
      run<Options>(async ({ options, output }) => {
        const { follow = false, limit = Infinity } = options
        await withStore(options, { migrate: false }, async (store) => {
          const after = await startOf(store, options)
          const filter = filterOf(options)
          const print = (pages: AsyncIterable<readonly RecordedEvent[]>): Promise<number> =>
            output.table(logColumns, pages, (event) => event)
          if (follow) await interruptible((signal) => print(followLog(store, filter, { after, limit, signal })))
          else if ((await print(inPages(store.readLog({ ...filter, after, limit }), limit))) === 0 && !output.json)
            await output.say(`there are no such events; the log ends at position ${formatCount((await store.log()).head)}`, undefined)
        })
      }),
    )
}

async function startOf(store: EventStore, { follow = false, after, last = follow ? 10 : undefined }: Options): Promise<number> {
  if (after !== undefined) return after
  return last === undefined ? 0 : Math.max(0, (await store.log()).head - last)
}

function filterOf({ type, category, correlation }: Options): LogFilter {
  return {
    ...(type && { types: type }),
    ...(category && { categories: category }),
    ...(correlation !== undefined && { correlationId: correlation }),
  }
}

/** Pages as they come, until `limit` events were given or `signal` is aborted. */
async function* followLog(
  store: EventStore,
  filter: LogFilter,
  { after: start, limit, signal }: { readonly after: number; readonly limit: number; readonly signal: AbortSignal },
): AsyncGenerator<readonly RecordedEvent[]> {
  const tail = new LogTail(store, { keepEvents: 0 })
  await tail.start()
  try {
    let after = start
    let left = limit
    while (!signal.aborted && left > 0) {
      const upTo = tail.head
      if (after < upTo) {
        const wanted = Math.min(1_000, left)
        const page = await store.readLogPage({ ...filter, after, upTo, limit: wanted })
        yield page
        left -= page.length
        after = page.length < wanted ? upTo : page.at(-1)!.position
      } else await tail.grown(after, Infinity, signal)
    }
  } finally {
    await tail.stop()
  }
}
