import type { Command } from 'commander'
import { existsSync } from 'node:fs'
import { addAbortSignal } from 'node:stream'
import { TransferError } from '../../storage/transfer/errors.ts'
import type { ImportResult } from '../../storage/transfer/import-events.ts'
import type { BadLine, ImportProgress } from '../../storage/transfer/progress.ts'
import { importEvents } from '../../storage/transfer/import-events.ts'
import { parseCount } from '../arguments.ts'
import type { GlobalOptions } from '../command.ts'
import { run } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { interruptible } from '../interruption.ts'
import { withStore } from '../open-store.ts'
import { countOf, formatCount, formatDuration } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'

interface Options {
  readonly strict?: boolean
  readonly stream?: string
  readonly batchSize?: number
}

export function addImport(program: Command): void {
  program
    .command('import <FILE>')
    .summary('append the events of a CloudEvents file to the log')
    .description(
      'Appends the events of a file to the log, in the order of its lines: CloudEvents 1.0 as JSON, one a line, plain or gzip. FILE may be - for ' +
        'standard input. An event that is stored already is counted and skipped, so an import that broke off is completed by running it again. ' +
        'A bad line is reported with its number and left out; the exit code is then 1.',
    )
    .option('--strict', 'stop at the first bad line, and store nothing of the batch it is in')
    .option('--stream <NAME>', 'the stream of events without a subject')
    .option('--batch-size <N>', 'events stored in one transaction (default: 2000)', parseCount)
    .action(
      run<Options, readonly [string]>(async ({ options, output }, file) => {
        const report = new Report(output.json)
        try {
          const { result, exitCode } = await interruptible((signal) => importFile(options, file, signal, report))
          report.line.clear()
          if (result === undefined) return exitCode
          await output.say(describeResult(result, report.elapsedMs), result)
          if (result.interrupted) return exitCode
          return result.bad > 0 ? exitCodes.failed : exitCodes.ok
        } catch (error) {
          report.line.clear()
          report.failed()
          throw error
        }
      }),
    )
}

async function importFile(options: Options & GlobalOptions, file: string, signal: AbortSignal, report: Report): Promise<ImportResult> {
  // Before the store is made, which a misspelt name should not lead to.
  if (file !== '-' && !existsSync(file)) throw new TransferError(`cannot read ${file}: there is no such file`)
  return withStore(options, { migrate: process.env['NODE_ENV'] !== 'production' }, (store) =>
    importEvents(store, file === '-' ? addAbortSignal(signal, process.stdin) : file, {
      strict: options.strict ?? false,
      signal,
      onBadLine: (bad) => report.badLine(bad),
      onProgress: (progress) => report.progress(progress),
      ...(options.stream !== undefined && { stream: options.stream }),
      ...(options.batchSize !== undefined && { batchSize: options.batchSize }),
    }),
  )
}

/** What is said on standard error while the import runs. */
class Report {
  readonly line: ProgressLine = new ProgressLine()
  readonly #json: boolean
  readonly #startedMs: number = performance.now()
  #imported = 0

  constructor(json: boolean) {
    this.#json = json
  }

  get elapsedMs(): number {
    return performance.now() - this.#startedMs
  }

  badLine(bad: BadLine): void {
    this.line.clear()
    process.stderr.write(this.#json ? `${JSON.stringify(bad)}\n` : `line ${bad.line}: ${bad.reason}\n`)
  }

  progress(progress: ImportProgress): void {
    this.#imported = progress.imported
    this.line.show(() => describeProgress(progress, this.elapsedMs))
  }

  failed(): void {
    if (this.#imported > 0 && !this.#json) process.stderr.write(`${countOf(this.#imported, 'event')} imported before it failed\n`)
  }
}

function describeProgress({ imported, skipped, bad, bytesRead, bytesTotal }: ImportProgress, ms: number): string {
  const done = imported + skipped
  const percent = bytesTotal ? `${Math.floor((100 * bytesRead) / bytesTotal)} %  ` : ''
  const problems = bad > 0 ? `  ${countOf(bad, 'bad line')}` : ''
  return `${percent}${formatCount(imported)} imported  ${formatCount(skipped)} skipped${problems}  ${formatCount(Math.round((done / ms) * 1_000))} events/s`
}

function describeResult({ imported, skipped, bad, position, interrupted }: ImportResult, ms: number): string {
  const rate = formatCount(Math.round(((imported + skipped) / ms) * 1_000))
  const what = `${countOf(imported, 'event')} imported, ${formatCount(skipped)} stored already, ${countOf(bad, 'bad line')}`
  const end = interrupted ? 'interrupted: run it again to go on' : `the log ends at position ${formatCount(position)}`
  return `${what}, in ${formatDuration(ms)} (${rate} events/s); ${end}`
}
