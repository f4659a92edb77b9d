import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import type { DeadLetter, DeadLetterState } from '../../processing/dead-letter.ts'
import type { DeadLetterFilter } from '../../processing/dead-letters.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import type { EventStore } from '../../storage/event-store.ts'
import { parseCount } from '../arguments.ts'
import { run } from '../command.ts'
import { findProcessors } from '../processors.ts'
import { withStore } from '../open-store.ts'
import type { Column } from '../output.ts'
import { formatAge, inOneLine } from '../output.ts'
import { inPages } from '../pages.ts'

interface Options {
  readonly processor?: string
  readonly state?: readonly DeadLetterState[]
  readonly key?: string
  readonly type?: string
  readonly fingerprint?: string
  readonly limit?: number
}

const states: readonly DeadLetterState[] = ['retrying', 'parked', 'waiting', 'dead']
const pageSize = 1_000

export function addList(deadLetters: Command): void {
  deadLetters
    .command('list')
    .summary('list them')
    .description(
      'Lists the dead letters in the order of their positions. retrying: will be tried again by itself; parked: given up, its key waits for an operator; ' +
        'waiting: nothing is wrong with it, it waits behind one of its key; dead: given up alone, its key went on.',
    )
    .option('--processor <NAME>', 'only of this handler (charge, or one topic or partition of it: handler:charge@orders/3)')
    .option('--state <STATE>', `only in this state: ${states.join(', ')} (may be repeated)`, collectState)
    .option('--key <KEY>', 'only of this key')
    .option('--type <TYPE>', 'only messages of this type')
    .option('--fingerprint <F>', 'only those that failed for this reason; see: headwater dead-letters groups')
    .option('--limit <N>', 'at most so many', parseCount)
    .action(
      run<Options>(async ({ options, output }) => {
        await withStore(options, { migrate: false }, async (store) => {
          const nowMs = store.environment.clock.now()
          const filter = await filterOf(store, options)
          const pages = inPages(allOf(new DeadLetters(store), filter), options.limit ?? Infinity)
          const count = await output.table(columns(nowMs), pages, (letter) => letter)
          if (count === 0 && !output.json)
            await output.say(Object.keys(filter).length === 0 ? 'there are no dead letters' : 'there are no such dead letters', undefined)
        })
      }),
    )
}

async function filterOf(store: EventStore, { processor, state, key, type, fingerprint }: Options): Promise<DeadLetterFilter> {
  return {
    ...(processor !== undefined && { processor: await findProcessors(store, processor) }),
    ...(state !== undefined && { state }),
    ...(key !== undefined && { key }),
    ...(type !== undefined && { type }),
    ...(fingerprint !== undefined && { fingerprint }),
  }
}

async function* allOf(letters: DeadLetters, filter: DeadLetterFilter): AsyncGenerator<DeadLetter> {
  let after: string | undefined
  do {
    const page = await letters.list(filter, { limit: pageSize, ...(after !== undefined && { after }) })
    yield* page.documents
    after = page.next
  } while (after !== undefined)
}

function columns(nowMs: number): readonly Column<DeadLetter>[] {
  return [
    { title: 'id', value: ({ id }) => id },
    { title: 'state', value: ({ state }) => state },
    { title: 'failed', value: ({ failedAt }) => (failedAt === null ? '' : `${formatAge(nowMs - Date.parse(failedAt))} ago`) },
    { title: 'attempts', value: ({ attempts }) => attempts },
    { title: 'next', value: ({ nextAttemptAt }) => (nextAttemptAt === null ? '' : `in ${formatAge(Date.parse(nextAttemptAt) - nowMs)}`) },
    { title: 'type', value: ({ type }) => type },
    { title: 'key', value: ({ key }) => key },
    { title: 'reason', value: ({ fingerprint }) => fingerprint ?? '' },
    { title: 'error', value: ({ error }) => inOneLine(error?.message ?? '') },
  ]
}

function collectState(text: string, previous: readonly DeadLetterState[] | undefined): readonly DeadLetterState[] {
  const state = states.find((candidate) => candidate === text)
  if (!state) throw new InvalidArgumentError(`It must be one of ${states.join(', ')}.`)
  return [...(previous ?? []), state]
}
