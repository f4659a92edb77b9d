// Real servers on a machine without Docker, on 127.0.0.1, with their data in .services/.
//
//   npm run services -- start|stop|status [name…]
//   eval "$(npm run --silent services -- start postgres)"     only the export lines go to standard output
import { spawn, spawnSync } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { kafka } from './kafka.ts'
import { nats, nats29 } from './nats.ts'
import { postgres } from './postgres.ts'
import { rabbitmq } from './rabbitmq.ts'
import type { ServerProcess, Service } from './service.ts'
import { elasticmq, fauxqs } from './sqs.ts'

const services: Record<string, Service> = { postgres, kafka, rabbitmq, nats, 'nats-2.9': nats29, elasticmq, fauxqs }

const home = resolve(process.env['HEADWATER_SERVICES'] ?? join(import.meta.dirname, '../../.services'))
const directoryOf = (name: string): string => join(home, name)
const stateFileOf = (name: string): string => join(home, `${name}.json`)

interface State extends Pick<ServerProcess, 'exports' | 'stopSignal'> {
  pid: number
}

const commands: Record<string, (name: string, service: Service) => Promise<boolean>> = { start, stop, status }

const [verb = 'status', ...names] = process.argv.slice(2)
const command = commands[verb]
const unknown = names.filter((name) => !services[name])
if (!command || unknown.length > 0) {
  say(`usage: npm run services -- ${Object.keys(commands).join('|')} [${Object.keys(services).join('|')} …]`)
  process.exit(2)
}
for (const [name, service] of Object.entries(services)) {
  if (names.length > 0 && !names.includes(name)) continue
  const done = await command(name, service).catch((error: Error) => say(`${name}: ${error.message}`))
  if (!done) process.exitCode = 1
}

async function start(name: string, service: Service): Promise<boolean> {
  const running = find(name)
  if (running) return tell(name, running)

  mkdirSync(home, { recursive: true })
  const server = await service.prepare(directoryOf(name))
  const logFile = join(home, `${name}.log`)
  const log = openSync(logFile, 'w')
  const { command: program, args, uid, gid, stopSignal, exports } = server
  const env = { ...process.env, ...server.env }
  const child = spawn(program, args, { uid, gid, env, detached: true, stdio: ['ignore', log, log] })
  child.on('error', (error) => writeFileSync(logFile, error.message)).unref()
  closeSync(log)

  const ended = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null
  for (const deadline = Date.now() + 60_000; ; await sleep(50)) {
    if (await answers(server)) break
    if (!ended() && Date.now() < deadline) continue
    if (!ended()) child.kill('SIGKILL')
    say(`${name} did not start:\n${readFileSync(logFile, 'utf8').slice(-4_000)}`)
    return false
  }
  const state: State = { pid: child.pid ?? 0, exports, stopSignal }
  writeFileSync(stateFileOf(name), JSON.stringify(state, null, 2), { mode: 0o600 })
  return tell(name, state)
}

async function stop(name: string): Promise<boolean> {
  const state = find(name)
  if (state) {
    process.kill(state.pid, state.stopSignal)
    for (const deadline = Date.now() + 30_000; find(name); await sleep(50)) {
      if (Date.now() < deadline) continue
      say(`${name} (process ${state.pid}) does not stop`)
      return false
    }
  }
  rmSync(stateFileOf(name), { force: true })
  say(`${name}: stopped`)
  return true
}

async function status(name: string): Promise<boolean> {
  const state = find(name)
  if (state) return tell(name, state)
  say(`${name}: stopped`)
  return false
}

/** The running server of that name. A process id alone proves nothing after a reboot: the command line must name the server's directory. */
function find(name: string): State | undefined {
  if (!existsSync(stateFileOf(name))) return undefined
  const state = JSON.parse(readFileSync(stateFileOf(name), 'utf8')) as State
  return commandLine(state.pid).includes(directoryOf(name)) ? state : undefined
}

function commandLine(pid: number): string {
  const file = `/proc/${pid}/cmdline`
  if (existsSync('/proc/self/cmdline')) return existsSync(file) ? readFileSync(file, 'utf8') : ''
  return spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' }).stdout
}

async function answers(server: ServerProcess): Promise<boolean> {
  return await server.answers().then(
    () => true,
    () => false,
  )
}

function tell(name: string, state: State): boolean {
  say(`${name}: running, process ${state.pid}`)
  for (const [variable, value] of Object.entries(state.exports)) process.stdout.write(`export ${variable}='${value}'\n`)
  return true
}

function say(line: string): void {
  process.stderr.write(`${line}\n`)
}
