import { parseArgs } from 'node:util'
import { UsageError } from './usage-error.ts'

export interface Options {
  readonly help: boolean
  readonly json: boolean
  /** Undefined: a log that is made up. */
  readonly file: string | undefined
  /** Of the log that is made up. */
  readonly declarations: number
  readonly storage: string
  /** Which declaration to look back at, and when. */
  readonly id: string | undefined
  readonly time: Date | undefined
}

export const help = `Imports a log of travel expense declarations, and says what there is in it.

  npm run expenses                             a log that is made up
  npm run expenses -- expenses.ndjson.gz       a file of CloudEvents, one a line, packed or not

  --storage STORE       sqlite:PATH or postgres://user:password@host/database
                        (default: sqlite:expenses.db; of a log that is made up sqlite:expenses-generated.db)
  --declarations N      of the log that is made up                               (default: 3000)
  --declaration ID      the one to look back at                                  (default: that with the longest history)
  --at TIME             how it was at this time: 2018-03-01 or 2018-03-01T12:00Z (default: half-way to its payment)
  --json                the figures as JSON
  --help`

/** @throws UsageError */
export function readOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args)
  const [file, ...others] = positionals
  if (others.length > 0) throw new UsageError(`one file at a time, not ${positionals.length}`)
  return {
    help: values.help ?? false,
    json: values.json ?? false,
    file,
    declarations: wholeNumber('--declarations', values.declarations ?? '3000', 1, 1_000_000),
    storage: values.storage ?? `sqlite:${file === undefined ? 'expenses-generated.db' : 'expenses.db'}`,
    id: values.declaration,
    time: values.at === undefined ? undefined : timeOf('--at', values.at),
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        storage: { type: 'string' },
        declarations: { type: 'string' },
        declaration: { type: 'string' },
        at: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    const [sentence = ''] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/)
    throw new UsageError(`${sentence.replace(/\.$/, '')}; --help tells what there is`, { cause: error })
  }
}

function wholeNumber(flag: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && number >= least && number <= most) return number
  throw new UsageError(`${flag} takes a whole number from ${least} to ${most}, not '${text}'`)
}

function timeOf(flag: string, text: string): Date {
  const time = new Date(text)
  if (!Number.isNaN(time.getTime())) return time
  throw new UsageError(`${flag} takes a time like 2018-03-01 or 2018-03-01T12:00Z, not '${text}'`)
}
