import { constants } from 'node:os'
import type { ExitCode } from './exit-codes.ts'

/**
 * Runs work that ends itself properly when its signal is aborted, which Ctrl-C and SIGTERM do; a second one ends the process at once. `result` is
 * undefined when the work gave up because of that, and `exitCode` is what shells expect of a program that was ended so.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
): Promise<{ readonly result: T | undefined; readonly exitCode: ExitCode }> {
  const controller = new AbortController()
  let exitCode = 0
  const interrupt = (name: NodeJS.Signals): void => {
    if (controller.signal.aborted) process.exit(exitCode)
    exitCode = 128 + constants.signals[name]
    controller.abort()
  }
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt)
  try {
    return { result: await work(controller.signal), exitCode }
  } catch (error) {
    if (controller.signal.aborted && isAbort(error)) return { result: undefined, exitCode }
    throw error
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt)
  }
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
