import type { Command } from 'commander'
import type { RedriveProgress } from '../../processing/dead-letters.ts'
import { DeadLetters } from '../../processing/dead-letters.ts'
import { parseAmount } from '../arguments.ts'
import type { GlobalOptions } from '../command.ts'
import { run } from '../command.ts'
import type { ChangeOptions } from '../dead-letters/carry-out.ts'
import { actionOptions, addChangeOptions } from '../dead-letters/carry-out.ts'
import { findProcessors, runnerOf } from '../processors.ts'
import type { ExitCode } from '../exit-codes.ts'
import { exitCodes, FailedError, NotFoundError, UsageError } from '../exit-codes.ts'
import { interruptible } from '../interruption.ts'
import { withStore } from '../open-store.ts'
import type { Output } from '../output.ts'
import { countOf, formatCount } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'

interface Options extends ChangeOptions {
  readonly fingerprint?: string
  readonly processor?: string
  readonly rate?: number
}

export function addRedrive(deadLetters: Command): void {
  const redrive = deadLetters
    .command('redrive')
    .summary('try many again: one, then ten, then a hundred, then the rest')
    .description(
      'Has the failed messages of one reason or one handler tried again, in the order of their positions: one, then ten, then a hundred at a time. Stops by ' +
        'itself, with the exit code 1, when more than a tenth of a step fails again; Ctrl-C stops after the step at hand. What was not tried stays as it is.',
    )
    .option('--fingerprint <F>', 'those that failed for this reason; see: headwater dead-letters groups')
    .option('--processor <NAME>', 'those of this handler, or of a relay (relay:TOPIC)')
    .option('--rate <N>', 'at most so many messages a second, on average over a step (default: 100)', parseAmount)
    .option('--reason <TEXT>', 'why, for the record')
  addChangeOptions(redrive).action(run<Options>(({ options, output }) => redriveLetters(options, output)))
}

async function redriveLetters(options: Options & GlobalOptions, output: Output): Promise<ExitCode> {
  const { fingerprint, processor, rate } = options
  if (fingerprint === undefined && processor === undefined)
    throw new UsageError('which messages? Say --fingerprint F, as headwater dead-letters groups lists them, or --processor NAME')
  const line = new ProgressLine()
  return withStore(options, { migrate: false }, async (store) => {
    const letters = new DeadLetters(store)
    const filter = {
      ...(fingerprint !== undefined && { fingerprint }),
      ...(processor !== undefined && { processor: await findProcessors(store, processor) }),
    }
    const groups = (await letters.groups(filter)).filter((group) => group.fingerprint === (fingerprint ?? group.fingerprint))
    if (groups.length === 0 && fingerprint !== undefined) throw new NotFoundError(`no message has failed for the reason ${fingerprint}`)
    for (const group of groups) {
      // Else the first message would be asked for, and tried whenever somebody comes, with nobody looking.
      if ((await runnerOf(store, group.processor)) === undefined)
        throw new FailedError(`nobody runs ${group.processor} at the moment: start the service first; nothing was tried`)
    }
    const total = groups.reduce((count, { failed }) => count + failed, 0)
    const { result, exitCode } = await interruptible((signal) =>
      letters
        .redrive(filter, {
          ...actionOptions(options),
          ...(rate !== undefined && { perSecond: rate }),
          signal,
          onProgress: (progress) => line.show(() => describe(progress, total)),
        })
        .finally(() => line.clear()),
    )
    if (result === undefined) return exitCode
    const end = result.stopped === undefined ? '' : `; stopped: ${result.stopped}`
    await output.say(`${describe(result, total)}${end}`, { ...result, total })
    if (result.stopped === undefined) return exitCodes.ok
    return exitCode === exitCodes.ok ? exitCodes.failed : exitCode
  })
}

function describe({ retried, succeeded, failed }: RedriveProgress, total: number): string {
  return `${formatCount(retried)} of ${countOf(total, 'message')} tried again: ${formatCount(succeeded)} succeeded, ${formatCount(failed)} failed`
}
