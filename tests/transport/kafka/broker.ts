import type { ChildProcess } from 'node:child_process'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { freePort } from '../../../scripts/postgres.ts'
import type { KafkaBroker } from '../../../scripts/services/kafka.ts'
import { prepareKafka } from '../../../scripts/services/kafka.ts'
import type { TcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { eventually } from '../../support/eventually.ts'

/** A broker of a test's own, which it may kill. */
export interface OwnBroker {
  readonly address: string
  /** Where it asks for a login. */
  readonly loginAddress: string
  /** Where it is encrypted, with a key of this authority. */
  readonly tls: { readonly address: string; readonly ca: string }
  /** Ways to it that can be interrupted. */
  readonly lines: readonly { readonly address: string; readonly proxy: TcpProxy }[]
  /** SIGKILL: nothing is flushed or said. */
  kill(): Promise<void>
  /** Again, with the same data at the same address. */
  start(): Promise<void>
  /** Kills it and removes its data. */
  remove(): Promise<void>
}

/** Java starts slowly where many others are at work. */
export const startTimeoutMs = 120_000

export const login = { username: 'alice', password: 'not-a-secret' }

/** The jars of `npm run services -- start kafka`. */
export const jars: string = join(resolve(process.env['HEADWATER_SERVICES'] ?? join(import.meta.dirname, '../../../.services')), 'kafka/lib')

/** Lives no longer than its caller, however that ends: its standard input is closed by the kernel then. */
const untilInputEnds = '"$@" & pid=$!; echo $pid; cat > /dev/null; kill -9 $pid'

export interface OwnBrokerOptions {
  readonly lines?: number
  /** Takes two starts of Java more. */
  readonly tls?: boolean
}

export async function startBroker({ lines = 0, tls = false }: OwnBrokerOptions = {}): Promise<OwnBroker> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-kafka-'))
  const ways = await Promise.all(
    Array.from({ length: lines }, async () => {
      const port = await freePort()
      return { port, proxy: await startTcpProxy({ host: '127.0.0.1', port }) }
    }),
  )
  const keyStore = join(directory, 'key.p12')
  const ca = tls ? makeKey(keyStore, login.password) : ''
  const broker: KafkaBroker = {
    port: await freePort(),
    jars,
    login: { port: await freePort(), ...login },
    ...(tls && { tls: { port: await freePort(), keyStore, password: login.password } }),
    lines: ways.map(({ port, proxy }) => ({ port, advertisedPort: proxy.port })),
  }
  const server = await prepareKafka(directory, broker)
  let running: { readonly shell: ChildProcess; readonly pid: number } | undefined

  const start = async (): Promise<void> => {
    const child = spawn('sh', ['-c', untilInputEnds, 'sh', server.command, ...server.args], { stdio: ['pipe', 'pipe', 'ignore'] })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    running = { shell: child, pid: Number(line.toString().split('\n')[0]) }
    child.stdout.resume()
    await eventually(server.answers, 90_000)
  }
  const kill = async (): Promise<void> => {
    if (!running) return
    const { shell, pid } = running
    running = undefined
    shell.stdin?.end()
    await eventually(() => {
      if (isRunning(pid)) throw new Error('still running')
    })
  }
  await start()
  return {
    address: server.exports['KAFKA_BROKERS'] ?? '',
    loginAddress: `127.0.0.1:${broker.login?.port}`,
    tls: { address: `127.0.0.1:${broker.tls?.port}`, ca },
    lines: ways.map(({ proxy }) => ({ address: `127.0.0.1:${proxy.port}`, proxy })),
    kill,
    start,
    async remove() {
      await kill()
      await Promise.all(ways.map(({ proxy }) => proxy.close()))
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** A key of 127.0.0.1 that is its own authority; returns the certificate. */
function makeKey(keyStore: string, password: string): string {
  const store = ['-keystore', keyStore, '-storetype', 'PKCS12', '-storepass', password, '-alias', 'broker']
  const make = ['-genkeypair', '-keyalg', 'EC', '-dname', 'CN=localhost', '-ext', 'san=ip:127.0.0.1', '-validity', '2']
  execFileSync('keytool', [...make, ...store], { stdio: 'ignore' })
  return execFileSync('keytool', ['-exportcert', '-rfc', ...store], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
