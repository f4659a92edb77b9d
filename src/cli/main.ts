#!/usr/bin/env node
import { CommanderError } from 'commander'
import type { GlobalOptions } from './command.ts'
import { errorCodeOf, exitCodeOf } from './exit-codes.ts'
import { readManifest } from './manifest.ts'
import { messageOf } from './open-store.ts'
import { createProgram } from './program.ts'

// Whoever reads our output has seen enough (`| head`). There is nobody left to tell, and nothing to be sorry for.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  throw error
})

/** More than what was printed needs to be read. */
const lingerMs = 1_000

const program = createProgram(readManifest().version)
try {
  await program.parseAsync()
} catch (error) {
  if (!isHelp(error)) printError(error, program.opts<GlobalOptions>())
  process.exitCode = exitCodeOf(error)
  // A client library may leave a connection to a silent server behind (that of NATS does), which would keep this process for as long as the server likes.
  setTimeout(() => process.exit(), lingerMs).unref()
}

/** Help and the version were asked for, or shown because no command was given. */
function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && !error.message.startsWith('error: ')
}

function printError(error: unknown, { json, verbose }: GlobalOptions): void {
  const message = messageOf(error)
    .replace(/^error: /, '')
    .trim()
  const code = error instanceof CommanderError ? 'usage' : (errorCodeOf(error) ?? 'unexpected')
  process.stderr.write(json ? `${JSON.stringify({ error: { code, message } })}\n` : `headwater: ${message} [${code}]\n`)
  if (verbose) console.error(error)
}
