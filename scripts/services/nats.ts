import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../postgres.ts'
import type { ServerProcess, Service } from './service.ts'

const currentVersion = 'v2.15.0'

/** The current NATS server, built from its Go module; needs Go. */
export const nats: Service = {
  prepare: (directory) => prepareNats(directory, { variable: 'NATS_URL', port: 4_222, program: fetchCurrent(directory) }),
}

/** The oldest one that is supported, NATS 2.9, from Debian's package `nats-server`, which is unpacked and not installed. */
export const nats29: Service = {
  prepare: (directory) => prepareNats(directory, { variable: 'NATS_2_9_URL', port: 4_229, program: fetchDebian(directory) }),
}

export interface NatsServer {
  /** The executable: `fetchCurrent` or `fetchDebian` of some directory. */
  readonly program: string
  /** What its address is exported as. */
  readonly variable?: string
  /** Preferred; another one is taken when it is in use. */
  readonly port?: number
  /** Further arguments, such as `--user`. */
  readonly args?: readonly string[]
  /** Default: true. Without it, `answers` waits for nothing but the greeting. */
  readonly jetStream?: boolean
}

/** One server with JetStream, which keeps its messages in the directory. */
export async function prepareNats(directory: string, server: NatsServer): Promise<ServerProcess> {
  const port = await freePort(server.port)
  const { jetStream = true } = server
  const data = join(directory, 'data')
  mkdirSync(data, { recursive: true })
  return {
    command: server.program,
    args: ['-a', '127.0.0.1', '-p', String(port), ...(jetStream ? ['-js'] : []), '-sd', data, ...(server.args ?? [])],
    stopSignal: 'SIGTERM',
    exports: { [server.variable ?? 'NATS_URL']: `127.0.0.1:${port}` },
    answers: () => greets(port, jetStream),
  }
}

/** Builds the current server in the directory, unless it is there. */
export function fetchCurrent(directory: string): string {
  const program = join(directory, 'bin', `nats-server-${currentVersion}`)
  if (existsSync(program)) return program
  inside(directory, (temporary) => {
    const module = `github.com/nats-io/nats-server/v2@${currentVersion}`
    execFileSync('go', ['install', module], { env: { ...process.env, GOBIN: temporary }, stdio: ['ignore', 'ignore', 'pipe'] })
    renameSync(join(temporary, 'nats-server'), program)
  })
  return program
}

/** Unpacks Debian's server in the directory, unless it is there. */
export function fetchDebian(directory: string): string {
  const program = join(directory, 'bin', 'nats-server-debian')
  if (existsSync(program)) return program
  inside(directory, (temporary) => {
    execFileSync('apt-get', ['download', 'nats-server'], { cwd: temporary, stdio: ['ignore', 'ignore', 'pipe'] })
    const archive = readdirSync(temporary).find((name) => name.endsWith('.deb'))
    if (archive === undefined) throw new Error('apt-get has fetched no package')
    execFileSync('dpkg-deb', ['--extract', join(temporary, archive), temporary])
    renameSync(join(temporary, 'usr/sbin/nats-server'), program)
  })
  return program
}

/** What is not complete must not be taken for the program. */
function inside(directory: string, fetch: (temporary: string) => void): void {
  mkdirSync(join(directory, 'bin'), { recursive: true })
  const temporary = mkdtempSync(join(directory, 'fetching-'))
  try {
    fetch(temporary)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** A NATS server speaks first, and says whether JetStream is on; it is not before its files are read. */
function greets(port: number, jetStream: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    const done = (error?: Error): void => {
      socket.destroy()
      if (error) reject(error)
      else resolve()
    }
    socket.setTimeout(1_000, () => done(new Error('no greeting')))
    socket.on('error', done)
    socket.once('data', (greeting) => {
      const isReady = !jetStream || greeting.toString().includes('"jetstream":true')
      done(isReady ? undefined : new Error('no JetStream yet'))
    })
  })
}
