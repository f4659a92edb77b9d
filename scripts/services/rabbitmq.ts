// RabbitMQ as Debian packages it: 3.10 in Debian 12. Another version is the one whose `rabbitmq-server` and `epmd` are in HEADWATER_RABBITMQ_BIN.
// Run as a program, this file is the server with the port mapper that Erlang wants beside it:
//
//   node scripts/services/rabbitmq.ts <prepared directory>
import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { freePort } from '../postgres.ts'
import type { ServerProcess, Service } from './service.ts'

const installed = process.env['HEADWATER_RABBITMQ_BIN']
const serverProgram = join(installed ?? '/usr/lib/rabbitmq/bin', 'rabbitmq-server')
const portMapperProgram = installed === undefined ? 'epmd' : join(installed, 'epmd')

export const rabbitmq: Service = {
  async prepare(directory) {
    const { url, managementUrl, answers } = await prepareRabbitMq(directory, { port: 5_672 })
    return {
      command: process.execPath,
      args: [import.meta.filename, directory],
      stopSignal: 'SIGTERM',
      exports: { RABBITMQ_URL: url, ...(managementUrl && { RABBITMQ_MANAGEMENT_URL: managementUrl }) },
      answers,
    }
  },
}

export interface RabbitMqOptions {
  /** Preferred; another one is taken when it is in use. */
  port?: number
  /** With the management plugin, which costs a second at the start. */
  management?: boolean
  /** Of the application `rabbit`, where rabbitmq.conf has no name for it. */
  application?: Record<string, string>
  /** Lines of rabbitmq.conf, beside those that a single broker for tests needs. */
  settings?: Record<string, string>
}

export interface RabbitMqBroker extends Pick<ServerProcess, 'answers'> {
  url: string
  managementUrl: string | undefined
  /** Must run before the server and end after it. */
  portMapper: Program
  /** Becomes the broker itself, so that its process id is the broker's. */
  server: Program
}

export interface Program {
  command: string
  args: string[]
  env: Record<string, string>
}

const programsFile = (directory: string): string => join(directory, 'programs.json')

/** Makes a node of its own in `directory`, with everything it listens on at 127.0.0.1. A later call finds the same messages. */
export async function prepareRabbitMq(directory: string, options: RabbitMqOptions = {}): Promise<RabbitMqBroker> {
  if (!existsSync(serverProgram)) {
    if (installed !== undefined) throw new Error(`there is no rabbitmq-server in ${installed}, which HEADWATER_RABBITMQ_BIN names`)
    installPackage()
  }
  mkdirSync(directory, { recursive: true })
  const port = await freePort(options.port)
  const distributionPort = await freePort()
  const mapperPort = await freePort()
  const managementPort = options.management ? await freePort() : undefined

  const settings: Record<string, string> = {
    'listeners.tcp.default': `127.0.0.1:${port}`,
    // The disk of a test machine may be nearly full; the alarm would block every publisher.
    'disk_free_limit.absolute': '50MB',
    ...(managementPort && {
      'management.tcp.ip': '127.0.0.1',
      'management.tcp.port': String(managementPort),
      collect_statistics_interval: '500',
    }),
    ...options.settings,
  }
  const configFile = join(directory, 'rabbitmq.conf')
  const pluginsFile = join(directory, 'enabled_plugins')
  writeFileSync(
    configFile,
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  )
  writeFileSync(pluginsFile, managementPort ? '[rabbitmq_management].\n' : '[].\n')

  const application = Object.entries(options.application ?? {}).map(([name, value]) => `-rabbit ${name} ${value}`)
  const mapper = { ERL_EPMD_PORT: String(mapperPort), ERL_EPMD_ADDRESS: '127.0.0.1' }
  const env = {
    ...mapper,
    HOME: directory, // for the cookie
    RABBITMQ_NODENAME: 'rabbit@localhost', // no other node of that name is known to its own port mapper
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(directory, 'data'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_LOGS: '-',
    RABBITMQ_CONFIG_FILE: configFile,
    RABBITMQ_ENABLED_PLUGINS_FILE: pluginsFile,
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: ['-kernel inet_dist_use_interface {127,0,0,1}', ...application].join(' '),
    // Makes the start script replace itself by the broker.
    RUNNING_UNDER_SYSTEMD: '1',
  }
  const broker = {
    portMapper: { command: portMapperProgram, args: ['-port', String(mapperPort), '-address', '127.0.0.1'], env: mapper },
    server: { command: serverProgram, args: [], env },
  }
  writeFileSync(programsFile(directory), JSON.stringify(broker, null, 2))
  return {
    ...broker,
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    managementUrl: managementPort ? `http://guest:guest@127.0.0.1:${managementPort}` : undefined,
    answers: () => answersHeader(port),
  }
}

/** The package's own service is not started: a policy says no to that for as long as the installation takes. */
function installPackage(): void {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get'))
    throw new Error('RabbitMQ is not installed: as root, on Debian, apt-get install rabbitmq-server')
  const policy = '/usr/sbin/policy-rc.d'
  const hadPolicy = existsSync(policy)
  if (!hadPolicy) {
    writeFileSync(policy, '#!/bin/sh\nexit 101\n')
    chmodSync(policy, 0o755)
  }
  try {
    const install = ['install', '--yes', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=300', 'rabbitmq-server']
    execFileSync('apt-get', install, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  } finally {
    if (!hadPolicy) rmSync(policy)
  }
}

/** The header of AMQP is answered by the first frame only when the broker is ready; the port is open before. */
function answersHeader(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('AMQP\0\0\x09\x01', 'latin1'))
    socket.setTimeout(2_000, () => socket.destroy(new Error('no answer')))
    socket.once('data', () => {
      resolve()
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed without an answer')))
  })
}

/** Runs both, until told to stop or until the broker ends. */
function run(directory: string): void {
  const { portMapper, server } = JSON.parse(readFileSync(programsFile(directory), 'utf8')) as Pick<RabbitMqBroker, 'portMapper' | 'server'>
  const mapper = start(portMapper)
  const broker = start(server)
  const stop = (): boolean => broker.kill('SIGTERM')
  process.on('SIGTERM', stop).on('SIGINT', stop)
  broker.on('close', (code) => {
    mapper.kill('SIGTERM')
    process.exitCode = code ?? 1
  })
}

function start({ command, args, env }: Program): ReturnType<typeof spawn> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] })
  return child.on('error', (error) => process.stderr.write(`${command}: ${error.message}\n`))
}

if (import.meta.main) run(process.argv[2] ?? '')
