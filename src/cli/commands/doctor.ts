import type { Command } from 'commander'
import { HeadwaterError } from '../../message/errors.ts'
import type { GlobalOptions } from '../command.ts'
import { run } from '../command.ts'
import { loadApp } from '../app-module.ts'
import { checkBroker } from '../doctor/check-broker.ts'
import { checkDeadLetters } from '../doctor/check-dead-letters.ts'
import { checkDatabase } from '../doctor/check-database.ts'
import { checkLog } from '../doctor/check-log.ts'
import { checkProcessors } from '../doctor/check-processors.ts'
import { checkProgram } from '../doctor/check-program.ts'
import type { Finding } from '../doctor/finding.ts'
import { ok, problem, warning } from '../doctor/finding.ts'
import { errorCodeOf, exitCodes, UsageError } from '../exit-codes.ts'
import { withStore } from '../open-store.ts'
import { coloured, countOf } from '../output.ts'
import { ProgressLine } from '../progress-line.ts'

interface Options {
  readonly full?: boolean
}

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .summary('check the store and what runs on it')
    .description(
      'Checks the program, the database and its settings, the log, processors and read models, and the broker where the module of --app exports `transport`, and says what to ' +
        'do about what it finds. Exits with 1 when something is wrong; warnings alone exit with 0.',
    )
    .option('--full', 'look at every event of the log, instead of some pages of it')
    .action(
      run<Options>(async ({ options, output }) => {
        const findings = [...checkProgram(), ...(await checkStore(options)), ...(await checkBroker(await loadApp(options), options))]
        const problems = findings.filter(({ status }) => status === 'problem').length
        const warnings = findings.filter(({ status }) => status === 'warning').length
        const summary = problems + warnings === 0 ? 'all is well' : `${countOf(problems, 'problem')}, ${countOf(warnings, 'warning')}`
        await output.say(`${findings.map((finding, index) => describe(finding, findings[index + 1])).join('\n')}\n${summary}`, {
          ok: problems === 0,
          findings,
        })
        return problems > 0 ? exitCodes.failed : exitCodes.ok
      }),
    )
}

async function checkStore(options: GlobalOptions & Options): Promise<readonly Finding[]> {
  const line = new ProgressLine()
  try {
    return await withStore(options, { migrate: false }, async (store) => {
      const { driver } = store
      const { full = false } = options
      const onProgress = (position: number, head: number): void => line.show(() => `${Math.floor((100 * position) / head)} % of the log`)
      return [
        ok('store', `${driver.capabilities.name}, reachable; log ${(await store.log()).id}`),
        ...(await checkDatabase(driver, { full })),
        ...(await checkLog(store, { full, onProgress })),
        ...(await checkProcessors(store)),
        ...(await checkDeadLetters(store)),
      ]
    })
  } catch (error) {
    if (error instanceof UsageError && options.storage === undefined && options.app === undefined)
      return [warning('store', 'none was named, so nothing else was checked', 'say --storage sqlite:PATH or --storage postgres://…')]
    if (!(error instanceof HeadwaterError) || error instanceof UsageError) throw error
    return [problem('store', `${error.message} [${errorCodeOf(error)}]`, 'see above; until then nothing else can be checked')]
  } finally {
    line.clear()
  }
}

const marks = { ok: coloured('green', '✓'), warning: coloured('yellow', '!'), problem: coloured('red', '✗') }

/** What is advised about several in a row is said once, behind the last. */
function describe({ check, status, detail, advice }: Finding, next: Finding | undefined): string {
  const line = `${marks[status]} ${coloured('bold', check)}: ${detail}`
  return advice === undefined || advice === next?.advice ? line : `${line}\n    → ${advice}`
}
