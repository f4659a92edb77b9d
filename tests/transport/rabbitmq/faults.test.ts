import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { type Log, silentLog } from '../../../src/observability/log.ts'
import { startTcpProxy, type TcpProxy } from '../../../src/testing/tcp-proxy.ts'
import type { Partition, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { MessageTooLargeError, TransportUnavailableError } from '../../../src/transport/errors.ts'
import { rabbitmq, type RabbitMqOptions } from '../../../src/transport/rabbitmq/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { Ledger } from './ledger.ts'
import { startOwnBroker, type OwnBroker } from './own-broker.ts'

describeOnBroker('RabbitMQ', 'RabbitMQ, when something breaks', () => {
  let broker: OwnBroker
  beforeAll(async () => {
    broker = await startOwnBroker({
      management: true,
      settings: { max_message_size: '100000', consumer_timeout: '3000' },
      // How often the broker looks for deliveries that are not acknowledged in time, and how often its queues report their figures.
      application: { channel_tick_interval: '500', quorum_tick_interval: '500' },
    })
  }, 120_000)
  afterAll(() => broker?.remove())

  let topics = 0
  const newTopic = (): string => `faults-${++topics}`

  async function connect(options: Partial<RabbitMqOptions> = {}, metrics = new InMemoryMetrics()): Promise<TransportConnection> {
    const transport = rabbitmq({ url: broker.url, publishTimeoutMs: 60_000, ...options })
    const connection = await transport.connect({ environment: environment({ log: silentLog, metrics }), clientName: 'faults' })
    onTestFinished(() => connection.close())
    return connection
  }

  async function proxied(): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
    const { hostname: host, port } = new URL(broker.url)
    const proxy = await startTcpProxy({ host, port: Number(port) })
    onTestFinished(() => proxy.close())
    return { proxy, url: Object.assign(new URL(broker.url), { port: proxy.port }).href }
  }

  /** A connection that consumes and finishes everything. */
  async function consume(
    connection: TransportConnection,
    topic: string,
    handle: (batch: readonly ReceivedMessage[], partition: Partition) => void | Promise<void>,
  ): Promise<void> {
    await connection.subscribe({
      topic,
      group: 'g',
      startAt: { at: 'end' },
      maxMessages: 200,
      maxBytes: 1_000_000,
      releaseTimeoutMs: 1_000,
      async run(partition) {
        for await (const batch of partition.read()) await handle(batch, partition)
      },
    })
  }

  async function topicWithGroup(connection: TransportConnection): Promise<string> {
    const topic = newTopic()
    await connection.ensureTopic({ name: topic })
    await connection.ensureGroup(topic, 'g', { at: 'end' })
    return topic
  }

  /** Calls that overlap, for as long as `until` has not happened. */
  async function publishUntil(ledger: Ledger, connection: TransportConnection, topic: string, until: Promise<unknown>): Promise<void> {
    let isOver = false
    const end = (): void => void (isOver = true)
    until.then(end, end)
    const calls: Promise<void>[] = []
    while (!isOver) {
      calls.push(ledger.publish(connection, topic, ledger.messages(20)))
      if (calls.length >= 5) await calls.shift()
    }
    await Promise.all(calls)
  }

  test('the broker is killed under load, twice: nothing that was confirmed is lost, and every key keeps its order', async () => {
    const ledger = new Ledger()
    const metrics = new InMemoryMetrics()
    const publisher = await connect({}, metrics)
    const topic = await topicWithGroup(publisher)
    const consumer = await connect()
    await consume(consumer, topic, (batch, partition) => {
      ledger.receive(batch)
      return partition.acknowledge(batch)
    })
    const kills = (async () => {
      await broker.hasSaved(`${topic}.g`)
      for (let round = 0; round < 2; round++) {
        const before = ledger.confirmed
        await eventually(() => expect(ledger.confirmed).toBeGreaterThan(before + 1_000))
        await broker.kill()
        await broker.start()
      }
      const before = ledger.confirmed
      await eventually(() => expect(ledger.confirmed).toBeGreaterThan(before + 500), 30_000)
    })()
    await Promise.all([publishUntil(ledger, publisher, topic, kills), kills])
    await eventually(() => expect(ledger.missing()).toEqual([]), 30_000)
    ledger.expectComplete()
    // What came last may be on its way to be acknowledged.
    await eventually(async () => expect(await consumer.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 0 }]))
    expect(metrics.value('headwater_transport_disconnects_total', { transport: 'rabbitmq' })).toBeGreaterThanOrEqual(2)
    process.stdout.write(
      `killed twice: ${ledger.confirmed} confirmed, ${ledger.received} received, ${ledger.repeated} of them more than once\n`,
    )
  }, 120_000)

  test('connections are cut in mid-publish and in mid-delivery, again and again', async () => {
    const ledger = new Ledger()
    const { proxy, url } = await proxied()
    const publisher = await connect({ url })
    const topic = await topicWithGroup(publisher)
    await consume(await connect({ url }), topic, (batch, partition) => {
      ledger.receive(batch)
      return partition.acknowledge(batch)
    })
    const cuts = (async () => {
      for (let round = 0; round < 8; round++) {
        const before = ledger.confirmed
        await eventually(() => expect(ledger.confirmed).toBeGreaterThan(before + 300))
        proxy.cut()
      }
    })()
    await Promise.all([publishUntil(ledger, publisher, topic, cuts), cuts])
    await eventually(() => expect(ledger.missing()).toEqual([]))
    ledger.expectComplete()
  }, 120_000)

  test('consumers are killed in a loop: what they acknowledged is finished, the rest comes to the next one', async () => {
    const ledger = new Ledger()
    const publisher = await connect()
    const topic = await topicWithGroup(publisher)
    await ledger.publish(publisher, topic, ledger.messages(3_000))
    const script = join(import.meta.dirname, 'consumer-process.ts')
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, [script, broker.url, topic, 'g'], { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'close')
      const before = ledger.received
      for await (const line of createInterface(child.stdout)) {
        ledger.note(line)
        if (ledger.received > before + 300 && !child.killed) child.kill('SIGKILL')
      }
      await ended
    }
    expect(ledger.received).toBeLessThan(3_000)
    await consume(await connect(), topic, (batch, partition) => {
      ledger.receive(batch)
      return partition.acknowledge(batch)
    })
    await eventually(() => expect(ledger.missing()).toEqual([]))
    ledger.expectComplete()
    // Only what was on its way when the process died.
    expect(ledger.repeated).toBeLessThanOrEqual(3 * 50)
  }, 120_000)

  test('a broker that swallows everything: messages fail when their time is over, with those behind them of their key, and work goes on afterwards', async () => {
    const { proxy, url } = await proxied()
    const connection = await connect({ url, publishTimeoutMs: 1_000, heartbeatSec: 1 })
    const topic = await topicWithGroup(connection)
    const ledger = new Ledger()
    await ledger.publish(connection, topic, ledger.messages(10))
    proxy.blackhole()
    const lost = connection.publish(topic, ledger.messages(20, 2))
    const [first] = await Promise.all([lost, connection.publish(topic, ledger.messages(2, 2))])
    for (const outcome of first) {
      expect(outcome).toMatchObject({ ok: false, refused: false })
      expect(!outcome.ok && outcome.error).toBeInstanceOf(TransportUnavailableError)
    }
    proxy.accept()
    await eventually(async () => {
      const [again] = await connection.publish(topic, ledger.messages(1))
      expect(again).toEqual({ ok: true })
    })
  }, 120_000)

  test('a message over the limit of the broker is refused by itself, with the limit named', async () => {
    const connection = await connect()
    const topic = await topicWithGroup(connection)
    const [small, large] = [Buffer.from('small'), Buffer.alloc(100_001)]
    const messages = [small, large, small, large, small].map((body, index) => {
      return { id: `m${index}`, key: 'k', attributes: {}, headers: {}, body }
    })
    const outcomes = await connection.publish(topic, messages)
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, false, true])
    const refused = outcomes[1]
    expect(refused).toMatchObject({ refused: true })
    expect(refused && !refused.ok && refused.error).toBeInstanceOf(MessageTooLargeError)
    expect(refused && !refused.ok && refused.error.message).toContain('max_message_size of RabbitMQ is 100000')
  })

  test('a delivery that is not acknowledged in time is taken away by the broker: the partition is revoked, and it comes again', async () => {
    const connection = await connect()
    const topic = await topicWithGroup(connection)
    const [taken, revoked]: [ReceivedMessage[], Partition[]] = [[], []]
    await consume(connection, topic, async (batch, partition) => {
      taken.push(...batch)
      if (taken.length > 1) return partition.acknowledge(batch)
      partition.revoked.addEventListener('abort', () => revoked.push(partition))
      return undefined
    })
    const ledger = new Ledger()
    await ledger.publish(connection, topic, ledger.messages(1))
    await eventually(() => expect(taken.length).toBe(2))
    expect(revoked.length).toBe(1)
    expect(taken[0]?.id).toBe(taken[1]?.id)
  })

  test('a user who may make nothing uses what an operator has made', async () => {
    const topic = await topicWithGroup(await connect())
    const url = await addUser(broker, 'reader', { configure: '^$', write: '-[0-9]+$', read: '.*' })
    const restricted = await connect({ url })
    await restricted.ensureTopic({ name: topic })
    await expect(restricted.ensureTopic({ name: newTopic() })).rejects.toThrow(TransportUnavailableError)
    await restricted.ensureGroup(topic, 'g', { at: 'end' })
    await expect(restricted.ensureGroup(topic, 'other', { at: 'end' })).rejects.toThrow('ACCESS_REFUSED')
    const ledger = new Ledger()
    await consume(restricted, topic, (batch, partition) => {
      ledger.receive(batch)
      return partition.acknowledge(batch)
    })
    await ledger.publish(restricted, topic, ledger.messages(5))
    expect(ledger.confirmed).toBe(5)
    await eventually(() => ledger.expectComplete())

    const silenced = await connect({ url: await addUser(broker, 'silent', { configure: '^$', write: '^$', read: '.*' }) })
    const [outcome] = await silenced.publish(topic, ledger.messages(1))
    expect(outcome).toMatchObject({ ok: false, refused: false, error: { message: expect.stringContaining('ACCESS_REFUSED') as string } })
  })

  test('a login that is taken back while it is in use is said, and waited for', async () => {
    const { proxy, url } = await proxied()
    const user = await addUser(broker, 'temporary', { configure: '.*', write: '.*', read: '.*' })
    const said: string[] = []
    const log: Log = (_level, message, fields) => void said.push(`${message} ${JSON.stringify(fields)}`)
    const transport = rabbitmq({ url: Object.assign(new URL(user), { port: new URL(url).port }).href, publishTimeoutMs: 60_000 })
    const connection = await transport.connect({ environment: environment({ log }), clientName: 'faults' })
    onTestFinished(() => connection.close())
    const topic = await topicWithGroup(connection)
    const ledger = new Ledger()
    await consume(connection, topic, (batch, partition) => {
      ledger.receive(batch)
      return partition.acknowledge(batch)
    })
    await ledger.publish(connection, topic, ledger.messages(5))
    await eventually(() => expect(ledger.missing()).toEqual([]))

    await putTo(broker, '/api/users/temporary', { password: 'another', tags: '' })
    proxy.cut()
    const publishing = ledger.publish(connection, topic, ledger.messages(5))
    await eventually(() => expect(said.filter((one) => one.includes('ACCESS_REFUSED')).length).toBeGreaterThan(1))
    expect(said.join()).not.toContain(':temporary@')
    expect(ledger.confirmed).toBe(5)
    await putTo(broker, '/api/users/temporary', { password: 'temporary', tags: '' })
    await publishing
    await eventually(() => ledger.expectComplete())
    expect(ledger.confirmed).toBe(10)
  }, 120_000)

  test('a queue that is full by a policy takes nothing for the moment, and nothing is lost or out of order when it is emptied', async () => {
    const impatient = await connect({ publishTimeoutMs: 500 })
    const topic = await topicWithGroup(impatient)
    const definition = { 'max-length': 10, overflow: 'reject-publish' }
    await putTo(broker, '/api/policies/%2F/full', { pattern: `^${topic}\\.g$`, definition, 'apply-to': 'queues' })
    const ledger = new Ledger()
    await eventually(async () => {
      const { confirmed } = ledger
      await ledger.publish(impatient, topic, ledger.messages(20))
      expect(ledger.confirmed).toBeLessThan(confirmed + 20)
    })
    const [refused] = await impatient.publish(topic, ledger.messages(1))
    expect(refused).toMatchObject({ ok: false, refused: false })
    expect(refused && !refused.ok && refused.error).toBeInstanceOf(TransportUnavailableError)
    const patient = await connect()
    const { confirmed } = ledger
    const waiting = ledger.publish(patient, topic, ledger.messages(50))
    await consume(await connect(), topic, (batch, partition) => {
      ledger.receive(batch)
      return partition.acknowledge(batch)
    })
    await waiting
    expect(ledger.confirmed).toBe(confirmed + 50)
    await eventually(() => expect(ledger.missing()).toEqual([]))
    ledger.expectComplete()
  }, 120_000)

  test('with the management plugin the lag counts what other processes hold', async () => {
    const holder = await connect()
    const topic = await topicWithGroup(holder)
    const ledger = new Ledger()
    await ledger.publish(holder, topic, ledger.messages(10))
    const held: ReceivedMessage[] = []
    await consume(holder, topic, (batch) => void held.push(...batch))
    await eventually(() => expect(held.length).toBe(10))
    const asking = await connect(broker.managementUrl === undefined ? {} : { managementUrl: broker.managementUrl })
    await eventually(async () => expect(await asking.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 10 }]))
    // Without it only what the connections of the same transport hold is known.
    expect(await holder.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 10 }])
    const stranger = await connect()
    expect(await stranger.lag(topic, 'g')).toEqual([{ partition: undefined, messages: 0 }])
    await expect(asking.lag(topic, 'nobody')).rejects.toThrow('was made')
    await expect(stranger.lag(topic, 'nobody')).rejects.toThrow('was made')
  })
})

/** By way of the management plugin; gives the url for that user. */
async function addUser(
  broker: OwnBroker,
  name: string,
  permissions: Readonly<Record<'configure' | 'write' | 'read', string>>,
): Promise<string> {
  await putTo(broker, `/api/users/${name}`, { password: name, tags: '' })
  await putTo(broker, `/api/permissions/%2F/${name}`, permissions)
  return Object.assign(new URL(broker.url), { username: name, password: name }).href
}

async function putTo(broker: OwnBroker, path: string, body: unknown): Promise<void> {
  const { origin, username, password } = new URL(broker.managementUrl ?? '')
  const headers = {
    authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
    'content-type': 'application/json',
  }
  const response = await fetch(origin + path, { method: 'PUT', headers, body: JSON.stringify(body) })
  expect(response.ok, `${path}: ${response.status}`).toBe(true)
}
