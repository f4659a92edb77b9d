import type { Command } from 'commander'
import type { ExitCode } from './exit-codes.ts'
import { exitCodes } from './exit-codes.ts'
import { Output } from './output.ts'

/** Options that every command takes. */
export interface GlobalOptions {
  readonly storage?: string
  readonly app?: string
  readonly json?: boolean
  readonly verbose?: boolean
}

export interface Invocation<Options> {
  readonly options: GlobalOptions & Options
  readonly output: Output
}

/**
 * What commander calls for a command: `work` with the command's arguments, options and output. The exit code of the process is what `work`
 * returns, 0 when it returns nothing. `Options` and the arguments must be those that the command declares.
 */
export function run<Options = unknown, Arguments extends readonly (string | undefined)[] = readonly []>(
  work: (invocation: Invocation<Options>, ...args: Arguments) => Promise<ExitCode | void>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    const command = given.at(-1) as Command
    const options = command.optsWithGlobals<GlobalOptions & Options>()
    const args = command.processedArgs as unknown as Arguments
    process.exitCode = (await work({ options, output: new Output(options.json ?? false) }, ...args)) ?? exitCodes.ok
  }
}
