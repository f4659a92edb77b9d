import type { Command } from 'commander'
import type { ExportProgress } from '../../storage/transfer/export-events.ts'
import { exportEvents } from '../../storage/transfer/export-events.ts'
import { collect, parseCount } from '../arguments.ts'
import { run } from '../command.ts'
import { exitCodes } from '../exit-codes.ts'
import { interruptible } from '../interruption.ts'
import { withStore } from '../open-store.ts'
import { countOf, formatCount, formatDuration } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'

interface Options {
  readonly output?: string
  readonly after?: number
  readonly type?: readonly string[]
  readonly category?: readonly string[]
}

export function addExport(program: Command): void {
  program
    .command('export')
    .summary('write the log as CloudEvents')
    .description(
      'Writes the events of the log, in its order, as CloudEvents 1.0 in JSON, one a line. Imported into an empty store, they give the same log.',
    )
    .option('--output <FILE>', 'where to write; packed when it ends with .gz; - is standard output', '-')
    .option('--after <POSITION>', 'only what comes after this position', parseCount)
    .option('--type <TYPE>', 'only events of this type (may be repeated)', collect)
    .option('--category <NAME>', 'only streams of this category (may be repeated)', collect)
    .action(
      run<Options>(async ({ options, output }) => {
        const { output: target = '-', after, type, category } = options
        const startedMs = performance.now()
        const line = new ProgressLine()
        const onProgress = (progress: ExportProgress): void => line.show(() => describeProgress(progress, performance.now() - startedMs))
        const { result, exitCode } = await interruptible(async (signal) => {
          try {
            return await withStore(options, { migrate: false }, (store) =>
              exportEvents(store, target === '-' ? process.stdout : target, {
                signal,
                onProgress,
                ...(after !== undefined && { after }),
                ...(type && { types: type }),
                ...(category && { categories: category }),
              }),
            )
          } catch (error) {
            if (signal.aborted) return undefined
            throw error
          } finally {
            line.clear()
          }
        })
        if (result === undefined) {
          process.stderr.write('interrupted: the export is not complete\n')
          return exitCode
        }
        // Standard output has the events.
        if (target !== '-') await output.say(describeResult(result, target, performance.now() - startedMs), { ...result, output: target })
        return exitCodes.ok
      }),
    )
}

function describeProgress({ exported, position, upTo }: ExportProgress, ms: number): string {
  const percent = upTo === 0 ? 100 : Math.floor((100 * position) / upTo)
  return `${percent} %  ${formatCount(exported)} exported  ${formatCount(Math.round((exported / ms) * 1_000))} events/s`
}

function describeResult({ exported }: ExportProgress, target: string, ms: number): string {
  const rate = formatCount(Math.round((exported / ms) * 1_000))
  return `${countOf(exported, 'event')} written to ${target} in ${formatDuration(ms)} (${rate} events/s)`
}
