import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { consume } from '../../../src/conformance/transport/consumer.ts'
import { keyed, message, publishAll, textsByKey, textsOf } from '../../../src/conformance/transport/messages.ts'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import type { Storage } from '../../../src/storage/port.ts'
import { sqlite } from '../../../src/storage/sqlite/index.ts'
import { startTcpProxy } from '../../../src/testing/index.ts'
import type { LogTransportOptions } from '../../../src/transport/log/index.ts'
import { log } from '../../../src/transport/log/index.ts'
import type { TransportConnection } from '../../../src/transport/port.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { dropSchema, freshSchema } from '../../support/stores.ts'

async function connect(storage: Storage, options: LogTransportOptions = {}): Promise<TransportConnection> {
  const connection = await log(storage, options).connect({ environment: environment({ log: silentLog }), clientName: 'test' })
  onTestFinished(() => connection.close())
  return connection
}

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-log-faults-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  return directory
}

/** Two processes compete for a topic; the one at work is killed, again and again, and another one comes. */
async function killConsumers(storage: Storage, store: readonly [kind: string, where: string, schema: string]): Promise<void> {
  const file = join(newDirectory(), 'received')
  const lines = (): readonly (readonly string[])[] =>
    readFileSync(file, { encoding: 'utf8', flag: 'a+' })
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split(' '))
  const processes: ChildProcess[] = []
  const startConsumer = (): void => {
    const program = join(import.meta.dirname, 'consumer-process.ts')
    processes.push(spawn(process.execPath, [program, ...store, file], { stdio: ['ignore', 'ignore', 'inherit'] }))
  }
  onTestFinished(() => {
    for (const consumer of processes) consumer.kill('SIGKILL')
  })
  const connection = await connect(storage)
  await connection.ensureTopic({ name: 'numbers' })
  startConsumer()
  startConsumer()

  const enough = new AbortController()
  let rounds = 0
  const publishing = (async () => {
    for (; !enough.signal.aborted; rounds++) {
      await publishAll(connection, 'numbers', keyed(5, 1, rounds))
      await delay(2)
    }
  })()
  for (let kills = 0; kills < 4; kills++) {
    const before = lines().length
    await eventually(() => expect(lines().length).toBeGreaterThan(before + 100))
    const owner = Number(lines().at(-1)![0])
    processes.find(({ pid }) => pid === owner)!.kill('SIGKILL')
    startConsumer()
    await eventually(() => expect(Number(lines().at(-1)![0])).not.toBe(owner))
  }
  enough.abort()
  await publishing
  await eventually(() => expect(lines().length).toBeGreaterThanOrEqual(rounds * 5))

  // Each exactly once, since whoever takes over goes on behind what was written down.
  const received = lines().map(([, , key, number]) => ({ key, body: Buffer.from(`${key} ${number}`) }))
  expect(textsByKey(received)).toEqual(textsByKey(keyed(5, rounds)))
  expect(new Set(lines().map(([pid]) => pid)).size).toBe(5)
}

describe('faults of the log transport on SQLite', () => {
  test('consumers that are killed one after the other lose nothing, repeat nothing and keep the order', async () => {
    const file = join(newDirectory(), 'messages.db')
    await killConsumers(sqlite(file), ['sqlite', file, ''])
  })
})

describeOnPostgres('faults of the log transport on PostgreSQL', (url) => {
  const newSchema = (): string => {
    const schema = freshSchema()
    onTestFinished(() => dropSchema(url, schema))
    return schema
  }

  test('consumers that are killed one after the other lose nothing, repeat nothing and keep the order', async () => {
    const schema = newSchema()
    await killConsumers(postgres(url, { schema, poolSize: 3 }), ['postgres', url, schema])
  })

  test('what is not confirmed in time says so, and what stands behind it is not sent', async () => {
    const schema = newSchema()
    const { hostname, port } = new URL(url)
    const proxy = await startTcpProxy({ host: hostname, port: Number(port || 5432) })
    onTestFinished(() => proxy.close())
    const through = Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(proxy.port) })
    const direct = await connect(postgres(url, { schema, poolSize: 2 }))
    const connection = await connect(postgres(through.href, { schema, poolSize: 2 }), { publishTimeoutMs: 1_500 })
    await connection.ensureTopic({ name: 't' })
    await publishAll(connection, 't', [message('before', { key: 'k' })])

    const sent = ['0', '1', '2'].map((text) => message(text, { key: 'k' }))
    proxy.blackhole()
    const first = connection.publish('t', [sent[0]!])
    // The first is under way before the others come.
    await delay(50)
    const outcomes = await Promise.all([first, connection.publish('t', [sent[1]!]), connection.publish('t', [sent[2]!])])
    for (const [outcome] of outcomes) expect(outcome).toMatchObject({ ok: false, refused: false, error: { code: 'transport-unavailable' } })
    proxy.accept()

    // Tried again with its id, each is there once, in order, whether the first try has arrived or not.
    for (const one of sent) await eventually(async () => expect(await connection.publish('t', [one])).toEqual([{ ok: true }]))
    const consumer = await consume(direct, { topic: 't', group: 'g' })
    await consumer.exactly(4)
    expect(textsOf(consumer.received)).toEqual(['before', '0', '1', '2'])
  })
})
