import { CommanderError } from 'commander'
import { HeadwaterError } from '../message/errors.ts'

/** What the program says to the script that called it. A program ended by Ctrl-C or SIGTERM exits with 130 or 143, as shells expect. */
export const exitCodes = {
  ok: 0,
  /** What was asked for failed, or was not as it should be: bad lines, differing documents, findings. */
  failed: 1,
  /** The command line itself is wrong, or lacks something. Nothing was done. */
  usage: 2,
  /** The store, or the broker, does not answer, does not exist, or does not fit this program. */
  store: 3,
  /** What another process has to do was asked for and is on record, and that process has not done it so far. */
  asked: 4,
} as const
export type ExitCode = number

/** The command line asks for something that cannot be. */
export class UsageError extends HeadwaterError {
  readonly code = 'usage'
}

/** What was asked for could not be done, for a reason that only the user can remove. */
export class FailedError extends HeadwaterError {
  readonly code = 'failed'
}

/** What was asked for is not there. */
export class NotFoundError extends HeadwaterError {
  readonly code = 'not-found'
}

const storeCodes = new Set([
  'store-unavailable',
  'unsupported-store',
  'missing-package',
  'storage',
  'store-closed',
  'log-gap',
  'transport-unavailable',
  'unsupported-broker',
])

export function exitCodeOf(error: unknown): ExitCode {
  // The parser's own: it has printed help or a message already.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
  const code = errorCodeOf(error)
  if (code === 'usage') return exitCodes.usage
  return code !== undefined && storeCodes.has(code) ? exitCodes.store : exitCodes.failed
}

/** By its property, not its class: the user's module may bring another copy of this package. */
export function errorCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}
