import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { elasticmq } from '../../../scripts/services/sqs.ts'
import { eventually } from '../../support/eventually.ts'

/** An ElasticMQ that belongs to one test, to be killed and started again. */
export interface OwnServer extends AsyncDisposable {
  readonly endpoint: string
  readonly port: number
  /** SIGKILL: nothing is flushed, nobody is told. */
  kill(): Promise<void>
  /** Starts it on the same port, with what it had written. */
  start(): Promise<void>
}

export async function startOwnServer(): Promise<OwnServer> {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-elasticmq-'))
  const server = await elasticmq.prepare(directory)
  const endpoint = server.exports['SQS_ENDPOINT']!
  let child: ChildProcess | undefined
  const start = async (): Promise<void> => {
    child = spawn(server.command, server.args, { stdio: 'ignore' })
    await eventually(() => server.answers(), 60_000)
  }
  const kill = async (): Promise<void> => {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const dispose = async (): Promise<void> => {
    await kill()
    rmSync(directory, { recursive: true, force: true })
  }
  // Nobody else knows of a server that does not come up in time.
  await start().catch(async (error: unknown) => {
    await dispose()
    throw error
  })
  return {
    endpoint,
    port: Number(new URL(endpoint).port),
    kill,
    start,
    [Symbol.asyncDispose]: dispose,
  }
}
