import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { onTestFinished } from 'vitest'
import { silentLog } from '../../src/observability/log.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'

const repository = join(import.meta.dirname, '../..')

export interface Ended {
  /** Null when a signal ended it. */
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Options {
  readonly cwd?: string
  readonly input?: string | Uint8Array
  readonly env?: Readonly<Record<string, string>>
}

/** Starts the real program. It is killed when the test ends, should it still run. */
export function startCli(args: readonly string[], { cwd, env = {} }: Options = {}): ChildProcessWithoutNullStreams {
  return startNode([join(repository, 'src/cli/main.ts'), ...args], { ...(cwd && { cwd }), env })
}

/** Runs the real program to its end. */
export function runCli(args: readonly string[], options: Options = {}): Promise<Ended> {
  return ended(startCli(args, options), options.input)
}

export function startNode(args: readonly string[], { cwd, env = {} }: Options = {}): ChildProcessWithoutNullStreams {
  const { HEADWATER_STORAGE: _storage, NODE_ENV: _nodeEnv, ...inherited } = process.env
  // Most of what such a short program does is to strip types; it need not do so each time.
  const cache = { NODE_COMPILE_CACHE: join(repository, 'node_modules/.cache/compile') }
  const child = spawn(process.execPath, ['--conditions=headwater-source', ...args], {
    cwd,
    env: { ...inherited, NO_COLOR: '1', ...cache, ...env },
  })
  // It may end before it has read everything.
  child.stdin.on('error', () => {})
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

export async function ended(child: ChildProcessWithoutNullStreams, input: string | Uint8Array = ''): Promise<Ended> {
  child.stdin.end(input)
  const exit = once(child, 'close')
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  await exit
  return { exitCode: child.exitCode, stdout, stderr }
}

export async function freshDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-cli-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** What `--storage` is given for a store that does not exist yet. */
export type FreshStore = () => Promise<string>

export async function freshSqliteFile(): Promise<string> {
  return `sqlite:${join(await freshDirectory(), 'test.db')}`
}

let databases = 0

/** A database of its own on this server, since the command line always uses the schema of the default name. */
export async function freshPostgresDatabase(server: string): Promise<string> {
  const name = `cli_${process.pid}_${Date.now().toString(36)}_${++databases}`
  const execute = async (sql: string): Promise<void> => {
    const client = new pg.Client(server)
    await client.connect()
    await client.query(sql)
    await client.end()
  }
  await execute(`CREATE DATABASE ${name}`)
  onTestFinished(() => execute(`DROP DATABASE ${name} WITH (FORCE)`))
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

/** The store that `--storage` names, for what only a test does to it. */
export async function openStore(storage: string): Promise<EventStore> {
  const path = /^sqlite:(.*)$/.exec(storage)?.[1]
  const store = await EventStore.open(path === undefined ? postgres(storage) : sqlite(path), { log: silentLog })
  onTestFinished(() => store.close())
  return store
}

/** The JSON values of a text that has one a line. */
export function jsonLines<T = Readonly<Record<string, unknown>>>(output: string): readonly T[] {
  return output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

/** A CloudEvent as a line: the `n`th event of the thing `thing:<n modulo 10>`. */
export function eventLine(n: number, attributes: Readonly<Record<string, unknown>> = {}): string {
  const event = { specversion: '1.0', id: `event-${n}`, source: 'test', type: 'ThingHappened', subject: `thing:${n % 10}`, data: { n } }
  return `${JSON.stringify({ ...event, ...attributes })}\n`
}

export function eventLines(count: number, attributes?: Readonly<Record<string, unknown>>): string {
  return Array.from({ length: count }, (_, n) => eventLine(n, attributes)).join('')
}
