import { Command, Option } from 'commander'
import { addDeadLetters } from './commands/dead-letters.ts'
import { addDoctor } from './commands/doctor.ts'
import { addExport } from './commands/export.ts'
import { addHandler } from './commands/handler.ts'
import { addImport } from './commands/import.ts'
import { addInit } from './commands/init.ts'
import { addLag } from './commands/lag.ts'
import { addLog } from './commands/log.ts'
import { addMigrate } from './commands/migrate.ts'
import { addProjection } from './commands/projection.ts'
import { addProjections } from './commands/projections.ts'
import { addStream } from './commands/stream.ts'
import { addStreams } from './commands/streams.ts'

const exitCodesHelp = `
Exit codes:
  0    done
  1    what was asked for failed, or is not as it should be
  2    the command line is wrong or lacks something; nothing was done
  3    the store or the broker does not answer, does not exist or does not fit this program
  4    asked for and on record, but the process that has to do it has not done it so far
  130  ended by Ctrl-C (143: by SIGTERM)

With --json, standard output holds one JSON value a line, and an error is {"error":{"code","message"}} on standard error.`

/** The command line: every command, none of them run yet. */
export function createProgram(version: string): Command {
  const program = new Command('headwater')
    .description("Looks into Headwater's event stores, moves events in and out, keeps read models and dead letters in order.")
    .version(version, '--version')
    .addOption(new Option('--storage <STORE>', 'sqlite:PATH or postgres://user:password@host/database').env('HEADWATER_STORAGE'))
    .option(
      '--app <MODULE>',
      'module that exports `service`, and perhaps `storage` and `transport` (default: headwater.config.{ts,js,mjs}, if there is one)',
    )
    .option('--json', 'print JSON, one value a line')
    .option('--verbose', 'show what the store logs, and where errors come from')
    .addHelpText('after', exitCodesHelp)
    .configureHelp({ showGlobalOptions: true })
    .helpCommand(false)
    // main.ts says what is wrong, in the form that was asked for.
    .configureOutput({ outputError: () => {} })
    .exitOverride()
  const looking = [addStreams, addStream, addLog, addProjections, addLag]
  const mending = [addProjection, addHandler, addDeadLetters, addDoctor]
  for (const add of [addInit, addMigrate, addImport, addExport, ...looking, ...mending]) add(program)
  return program
}
