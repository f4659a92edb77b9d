import { HeadwaterError } from 'headwater'
import { UsageError } from '../usage-error.ts'
import { StandstillError } from './batch.ts'

/** Runs a program that ends by itself or by Ctrl-C, at the latest by a second one, and sets the exit code. */
export async function runUntilInterrupted(main: (interrupted: AbortSignal) => Promise<number>): Promise<void> {
  const interruption = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const)
    process.on(name, () => {
      if (interruption.signal.aborted) process.exit(130)
      interruption.abort()
    })
  try {
    process.exitCode = await main(interruption.signal)
  } catch (error) {
    process.stderr.write(`shop: ${sentenceOf(error)}\n`)
    process.exitCode = error instanceof UsageError ? 2 : 1
  }
}

/** What a user can do something about is a sentence; anything else is a bug, with its stack. */
export function sentenceOf(error: unknown): string {
  const isExpected =
    error instanceof UsageError ||
    error instanceof StandstillError ||
    error instanceof HeadwaterError ||
    (error instanceof Error && 'code' in error)
  return isExpected ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)
}
