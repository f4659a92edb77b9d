// Runs a server for as long as somebody holds this process's standard input open, then stops it and removes its directory.
// A pipe is closed by the kernel however its owner ends, SIGKILL included: no server outlives the test run that started it.
//
//   node scripts/tether.ts '{ "command": …, "args": […], "directory": … }'
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'

export interface Tethered {
  command: string
  args: string[]
  /** Removed when the server has ended. */
  directory: string
  uid?: number | undefined
  gid?: number | undefined
}

const { command, args, directory, ...owner } = JSON.parse(process.argv[2] ?? '{}') as Tethered
const server = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...owner })

// SIGINT is PostgreSQL's fast shutdown: roll back, flush, end.
const stop = (): void => {
  server.kill('SIGINT')
  setTimeout(() => server.kill('SIGKILL'), 10_000).unref()
}
process.stdin.on('end', stop).resume()
process.on('SIGINT', stop).on('SIGTERM', stop)

server.on('error', (error) => process.stderr.write(`${error.message}\n`))
server.on('close', (code) => {
  rmSync(directory, { recursive: true, force: true })
  process.exit(code ?? 1)
})
