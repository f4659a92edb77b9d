import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import { beforeAll, expect, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import type { NatsOptions } from '../../../src/transport/nats/index.ts'
import { nats } from '../../../src/transport/nats/index.ts'
import type { SubscriptionOptions, TransportConnection } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { Ledger, noting, numbered, publishRounds } from '../../support/ledger.ts'
import { programOf, startOwnServer } from './server.ts'

const generations = [
  ['NATS JetStream', 'current'],
  ['NATS JetStream 2.9', '2.9'],
] as const

for (const [broker, generation] of generations)
  describeOnBroker(broker, `faults of ${broker}`, () => {
    // Fetching the server takes a while where `npm run services` has not done it.
    beforeAll(() => void programOf(generation), 300_000)

    test.concurrent('a server that is killed under load, twice, loses nothing and keeps the order of each key', async ({
      onTestFinished,
    }) => {
      await using server = await startOwnServer(generation)
      const ledger = new Ledger()
      const { connection, metrics } = await connectTo(onTestFinished, server.address)
      const topic = await newTopic(connection)
      const consumer = await connectTo(onTestFinished, server.address)
      await consumer.connection.subscribe({ ...subscriptionTo(topic), run: noting(ledger) })

      const enough = new AbortController()
      const publishing = publishRounds(connection, topic, ledger, { keys: 20, signal: enough.signal })
      for (let kills = 1; kills <= 2; kills++) {
        const { confirmedCount } = ledger
        await eventually(() => expect(ledger.confirmedCount).toBeGreaterThan(confirmedCount + 2_000))
        await server.kill()
        await server.start()
        await eventually(() =>
          expect(metrics.value('headwater_transport_disconnects_total', { transport: 'nats' })).toBeGreaterThanOrEqual(kills),
        )
      }
      const { confirmedCount } = ledger
      await eventually(() => expect(ledger.confirmedCount).toBeGreaterThan(confirmedCount + 2_000))
      enough.abort()
      await publishing
      await eventually(() => expect(ledger.distinctCount).toBeGreaterThanOrEqual(ledger.confirmedCount))
      ledger.check()
    })

    test.concurrent('connections that are cut in mid-publish and mid-delivery lose nothing and keep the order of each key', async ({
      onTestFinished,
    }) => {
      await using server = await startOwnServer(generation)
      await using proxy = await startTcpProxy({ host: '127.0.0.1', port: server.port })
      const ledger = new Ledger()
      const { connection } = await connectTo(onTestFinished, `127.0.0.1:${proxy.port}`)
      const topic = await newTopic(connection)
      await connection.subscribe({ ...subscriptionTo(topic), run: noting(ledger) })

      const enough = new AbortController()
      const publishing = publishRounds(connection, topic, ledger, { keys: 20, signal: enough.signal })
      for (let cuts = 0; cuts < 5; cuts++) {
        const { confirmedCount, receivedCount } = ledger
        await eventually(() => expect(ledger.confirmedCount).toBeGreaterThan(confirmedCount + 500))
        await eventually(() => expect(ledger.receivedCount).toBeGreaterThan(receivedCount + 100))
        proxy.cut()
      }
      enough.abort()
      await publishing
      await eventually(() => expect(ledger.distinctCount).toBeGreaterThanOrEqual(ledger.confirmedCount))
      ledger.check()
    })

    test.concurrent('what is not confirmed in time says so, and nothing behind it of its key is sent', async ({ onTestFinished }) => {
      await using server = await startOwnServer(generation)
      await using proxy = await startTcpProxy({ host: '127.0.0.1', port: server.port })
      const { connection } = await connectTo(onTestFinished, `127.0.0.1:${proxy.port}`, { publishTimeoutMs: 300 })
      const direct = await connectTo(onTestFinished, server.address)
      const topic = await newTopic(connection)
      const sent = [0, 1, 2].map((number) => numbered('k', number))
      proxy.blackhole()
      const outcomes = await Promise.all(sent.map((message) => connection.publish(topic, [message])))
      for (const [outcome] of outcomes)
        expect(outcome).toMatchObject({ ok: false, refused: false, error: { code: 'transport-unavailable' } })
      proxy.accept()
      // What was under way arrives after all; what stood behind it does not.
      await eventually(async () => expect(await direct.connection.lag(topic, 'nobody')).toEqual([{ partition: undefined, messages: 1 }]))
      for (const message of sent) await eventually(async () => expect(await connection.publish(topic, [message])).toEqual([{ ok: true }]))
      const ledger = new Ledger()
      await direct.connection.subscribe({ ...subscriptionTo(topic), run: noting(ledger) })
      await eventually(() => expect(ledger.receivedCount).toBe(3))
      for (const number of [0, 1, 2]) ledger.confirm('k', number)
      ledger.check()
      expect(ledger.repetitions).toBe(0)
    })

    test.concurrent('consumers that are killed one after the other lose nothing and keep the order of each key', async ({
      onTestFinished,
    }) => {
      await using server = await startOwnServer(generation)
      const { connection } = await connectTo(onTestFinished, server.address)
      const topic = await newTopic(connection)
      const ledger = new Ledger()
      const directory = mkdtempSync(join(tmpdir(), 'headwater-consumer-'))
      onTestFinished(() => rmSync(directory, { recursive: true }))
      const file = join(directory, 'received')
      const received = (): readonly string[] => readFileSync(file, { encoding: 'utf8', flag: 'a+' }).split('\n').slice(0, -1)

      const enough = new AbortController()
      const publishing = publishSlowly(connection, topic, ledger, enough.signal)
      for (let lives = 0; lives < 3; lives++) {
        const program = join(import.meta.dirname, 'consumer-process.ts')
        const consumer = spawn(process.execPath, [program, server.address, topic, file], { stdio: ['ignore', 'ignore', 'inherit'] })
        onTestFinished(() => void consumer.kill('SIGKILL'))
        const before = received().length
        await eventually(() => expect(received().length).toBeGreaterThan(before + 300))
        if (lives === 2) break
        const ended = once(consumer, 'exit')
        consumer.kill('SIGKILL')
        await ended
      }
      enough.abort()
      await publishing
      await eventually(() => expect(new Set(received()).size).toBe(ledger.confirmedCount))
      for (const line of received()) {
        const [key = '', number] = line.split(' ')
        ledger.receive(key, Number(number))
      }
      ledger.check()
    })

    test.concurrent('a server is waited for through more attempts than the client makes by default', async ({ onTestFinished }) => {
      await using server = await startOwnServer(generation)
      await using proxy = await startTcpProxy({ host: '127.0.0.1', port: server.port })
      const attempts: string[] = []
      const quick = environment({ log: (_level, message) => void attempts.push(message), random: () => 0.01 })
      const transport = nats({ servers: `127.0.0.1:${proxy.port}`, publishTimeoutMs: 20_000 })
      const connection = await transport.connect({ environment: quick, clientName: 'faults' })
      onTestFinished(() => connection.close())
      const topic = await newTopic(connection)
      proxy.refuse()
      const publishing = connection.publish(topic, [numbered('k', 0)])
      // Pauses are between 1 and 50 ms here, and the client's default is ten attempts.
      await delay(1_500)
      proxy.accept()
      expect(await publishing).toEqual([{ ok: true }])
      expect(attempts).toContain('connected to NATS again')
    })

    test.concurrent('a group that is removed while it is consumed from is made anew, and misses nothing', async ({ onTestFinished }) => {
      await using server = await startOwnServer(generation)
      const { connection } = await connectTo(onTestFinished, server.address)
      const topic = await newTopic(connection)
      const ledger = new Ledger()
      await connection.subscribe({ ...subscriptionTo(topic), run: noting(ledger) })
      const publish = async (number: number): Promise<void> => {
        expect(await connection.publish(topic, [numbered('k', number)])).toEqual([{ ok: true }])
        ledger.confirm('k', number)
      }
      await publish(0)
      await eventually(() => expect(ledger.receivedCount).toBe(1))
      await removeGroup(server.address, topic, 'group')
      await publish(1)
      await eventually(() => expect(ledger.distinctCount).toBeGreaterThanOrEqual(ledger.confirmedCount))
      ledger.check()
    })
  })

async function connectTo(
  onTestFinished: TestContext['onTestFinished'],
  servers: string,
  options: Partial<NatsOptions> = {},
): Promise<{ readonly connection: TransportConnection; readonly metrics: InMemoryMetrics }> {
  const metrics = new InMemoryMetrics()
  const transport = nats({ servers, ackWaitMs: 1_000, publishTimeoutMs: 100_000, ...options })
  const connection = await transport.connect({ environment: environment({ log: silentLog, metrics }), clientName: 'faults' })
  onTestFinished(() => connection.close())
  return { connection, metrics }
}

async function newTopic(connection: TransportConnection): Promise<string> {
  const name = `t-${randomUUID()}`
  await connection.ensureTopic({ name })
  return name
}

function subscriptionTo(topic: string): Omit<SubscriptionOptions, 'run'> {
  return { topic, group: 'group', startAt: { at: 'beginning' }, maxMessages: 200, maxBytes: 1024 * 1024, releaseTimeoutMs: 1_000 }
}

/** Leaves the consumers time to be killed while there is still something to come. */
async function publishSlowly(connection: TransportConnection, topic: string, ledger: Ledger, signal: AbortSignal): Promise<void> {
  for (let round = 0; !signal.aborted; round++) {
    const messages = Array.from({ length: 10 }, (_, key) => numbered(`k${key}`, round))
    for (const outcome of await connection.publish(topic, messages)) expect(outcome).toEqual({ ok: true })
    for (const { key } of messages) ledger.confirm(key!, round)
    await delay(5)
  }
}

async function removeGroup(servers: string, topic: string, group: string): Promise<void> {
  const { connect } = await import('@nats-io/transport-node')
  const { jetstreamManager } = await import('@nats-io/jetstream')
  const connection = await connect({ servers })
  // NATS 2.9 sometimes removes a group and then says that its directory was not empty.
  await (
    await jetstreamManager(connection)
  ).consumers
    .delete(topic, group)
    .catch((error: Error) => expect(error.message).toContain('not empty'))
  await connection.close()
}
