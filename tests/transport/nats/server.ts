import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fetchCurrent, fetchDebian, prepareNats } from '../../../scripts/services/nats.ts'
import { eventually } from '../../support/eventually.ts'

/** A NATS server that belongs to one test, to be killed and started again. */
export interface OwnServer extends AsyncDisposable {
  readonly port: number
  readonly address: string
  /** SIGKILL: nothing is flushed, nobody is told. */
  kill(): Promise<void>
  /** Starts it on the same port, with what it had written. */
  start(): Promise<void>
}

export type Generation = 'current' | '2.9'

/** Where `npm run services` keeps its servers: what it has fetched is not fetched again. */
const services = resolve(process.env['HEADWATER_SERVICES'] ?? '.services')

export function programOf(generation: Generation): string {
  return generation === 'current' ? fetchCurrent(join(services, 'nats')) : fetchDebian(join(services, 'nats-2.9'))
}

export async function startOwnServer(generation: Generation, args: readonly string[] = [], { jetStream = true } = {}): Promise<OwnServer> {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-nats-'))
  const server = await prepareNats(directory, { program: programOf(generation), args, jetStream })
  const address = server.exports['NATS_URL']!
  let child: ChildProcess | undefined
  const start = async (): Promise<void> => {
    child = spawn(server.command, server.args, { stdio: 'ignore' })
    await eventually(() => server.answers())
  }
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  await start()
  return {
    port: Number(address.split(':')[1]),
    address,
    kill,
    start,
    async [Symbol.asyncDispose]() {
      await kill()
      rmSync(directory, { recursive: true, force: true })
    },
  }
}
