import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { ConfigResourceTypes, Kafka, logLevel } from 'kafkajs'
import { afterAll, beforeAll, onTestFinished, test } from 'vitest'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { MessageTooLargeError, TransportUnavailableError } from '../../../src/transport/errors.ts'
import { startTransform } from '../../../src/transport/kafka/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import type { OwnBroker } from './broker.ts'
import { login, startBroker, startTimeoutMs } from './broker.ts'
import { connectTo, keyed, newTopic, numbered } from './clients.ts'
import { Ledger } from './ledger.ts'
import { Counted, counted, Logged, stageOf } from './transformed.ts'

describeOnBroker('Kafka', 'Kafka, when it fails', () => {
  let broker: OwnBroker | undefined
  beforeAll(async () => {
    broker = await startBroker({ lines: 3, tls: true })
  }, startTimeoutMs)
  afterAll(() => broker?.remove())
  const own = (): OwnBroker => {
    if (!broker) throw new Error('the broker has not been started')
    return broker
  }
  const line = (index: number): OwnBroker['lines'][number] => own().lines[index]!

  test('a broker that is killed under load and comes back loses and reorders nothing', async () => {
    const metrics = new InMemoryMetrics()
    const connection = await connectTo(own().address, {}, metrics)
    const topic = await newTopic(connection, 4)
    const ledger = new Ledger()
    await ledger.follow(await connectTo(own().address), topic)

    let isOver = false
    const publishing = Array.from({ length: 4 }, async (_, writer) => {
      for (let number = 0; !isOver; number += 5) {
        const messages = numbered(5, number, number + 5).map((one) => ({ ...one, key: `${writer}-${one.key}` }))
        await ledger.publishAll(connection, topic, messages)
      }
    })
    await eventually(() => assert.ok(ledger.count > 2_000))
    const before = ledger.confirmed.size
    await own().kill()
    await own().start()
    await eventually(() => assert.ok(ledger.confirmed.size > before + 2_000, `${ledger.confirmed.size} after ${before}`), 30_000)
    isOver = true
    await Promise.all(publishing)
    await eventually(() => ledger.assertComplete())

    ledger.assertOrder()
    assert.equal(ledger.unconfirmed.size, 0, 'the broker was not away for longer than a message may be tried')
    assert.equal(ledger.repetitions(), 0, 'the producer is idempotent')
    assert.ok(metrics.value('headwater_transport_disconnects_total', { transport: 'kafka' }) > 0)
  }, 120_000)

  test('a transform whose broker is killed under load writes each output once and in order', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name)
    const connection = await connectTo(own().address)
    const options = { brokers: own().address, group: name, from, on: Counted, to: logged, emits: Logged, log: silentLog } as const
    const running = await startTransform(options, async ({ data }) => Logged(data))
    onTestFinished(() => running.stop())
    const ledger = new Ledger()
    const outputs = new Ledger()
    await outputs.follow(connection, logged.name)

    let isOver = false
    const publishing = (async () => {
      for (let number = 0; !isOver; number += 5) {
        const messages = Array.from({ length: 20 }, (_, index) => counted(from, `k${index % 4}`, number + Math.floor(index / 4)))
        await ledger.publishAll(connection, from.name, messages)
      }
    })()
    await eventually(() => assert.ok(outputs.count > 1_000))
    await own().kill()
    await own().start()
    const before = outputs.count
    await eventually(() => assert.ok(outputs.count > before + 1_000, `${outputs.count} after ${before}`), 60_000)
    isOver = true
    await publishing
    await eventually(() => assert.ok(outputs.count >= ledger.confirmed.size, `${outputs.count} of ${ledger.confirmed.size}`), 60_000)
    for (const [key, messages] of outputs.received) {
      const numbers = messages.map(({ body }) => (JSON.parse(Buffer.from(body).toString()) as { readonly number: number }).number)
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => index),
        `each of ${key} once and in order`,
      )
    }
    assert.equal(outputs.count, ledger.confirmed.size)
  }, 180_000)

  test('connections that are cut while messages are on their way cost nothing but time', async () => {
    const { address, proxy } = line(0)
    const connection = await connectTo(address)
    const topic = await newTopic(connection, 3)
    const ledger = new Ledger()
    await ledger.follow(await connectTo(address), topic)
    for (let round = 0; round < 8; round++) {
      const publishing = Promise.all(
        Array.from({ length: 20 }, (_, call) => {
          const first = round * 200 + call * 10
          return ledger.publishAll(connection, topic, numbered(4, first, first + 10))
        }),
      )
      await delay(3 * round)
      proxy.cut()
      await publishing
    }
    await eventually(() => ledger.assertComplete())
    ledger.assertOrder()
    assert.equal(ledger.confirmed.size, 8 * 20 * 40)
    assert.equal(ledger.unconfirmed.size, 0)
    assert.equal(ledger.repetitions(), 0)
  })

  test('what cannot be confirmed in time fails, and what is behind it of its key with it', async () => {
    const { address, proxy } = line(1)
    const connection = await connectTo(address, { publishTimeoutMs: 4_000 })
    const topic = await newTopic(connection, 2)
    const ledger = new Ledger()
    await ledger.publishAll(connection, topic, [keyed('k', 'k 0')])
    proxy.blackhole()
    const first = connection.publish(topic, [keyed('k', 'k 1')])
    await delay(500)
    const behind = [2, 3].map((number) => connection.publish(topic, [keyed('k', `k ${number}`)]))
    const other = ledger.publishAll(connection, topic, [keyed('j', 'j 0')])
    const failed = [await first]
    // There would be time enough for those behind it, and one of another key is sent.
    proxy.accept()
    failed.push(...(await Promise.all(behind)))
    for (const [outcome] of failed) {
      assert.ok(outcome && !outcome.ok && !outcome.refused)
      assert.ok(outcome.error instanceof TransportUnavailableError)
    }
    await other
    assert.equal(ledger.unconfirmed.size, 0)
    await ledger.publishAll(connection, topic, [keyed('k', 'k 4')])
    await ledger.follow(await connectTo(own().address), topic)
    await eventually(() => ledger.assertComplete())
    const numbers = [...new Set(ledger.received.get('k')?.map(({ body }) => Buffer.from(body).toString()))]
    assert.ok(!numbers.includes('k 2') && !numbers.includes('k 3'), `${numbers.join()}: those behind were never sent`)
  })

  test('a member that cannot be heard of gives its partitions up before another gets them', async () => {
    const { address, proxy } = line(2)
    const cutOff = await connectTo(address)
    const topic = await newTopic(cutOff, 2)
    const owners = new Map<number, string>()
    const overlaps: string[] = []
    const member =
      (name: string): Ledger['consume'] =>
      async (partition) => {
        const number = partition.number ?? -1
        const owner = owners.get(number)
        if (owner) overlaps.push(`${name} began ${number} of ${owner}`)
        owners.set(number, name)
        for await (const batch of partition.read()) await partition.acknowledge(batch)
        if (owners.get(number) === name) owners.delete(number)
      }
    const options = {
      topic,
      group: topic,
      startAt: { at: 'beginning' },
      maxMessages: 10,
      maxBytes: 10_000,
      releaseTimeoutMs: 1_000,
    } as const
    await cutOff.subscribe({ ...options, run: member('first') })
    await eventually(() => assert.deepEqual([...owners.values()], ['first', 'first']))
    proxy.blackhole()
    const other = await connectTo(own().address)
    await other.subscribe({ ...options, run: member('second') })
    await eventually(() => assert.deepEqual([...owners.values()], ['second', 'second']))
    assert.deepEqual(overlaps, [])
    proxy.accept()
    await eventually(() => assert.deepEqual([...owners.values()].toSorted(), ['first', 'second']))
    assert.deepEqual(overlaps, [])
  })

  for (const mechanism of ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const)
    test(`a login by ${mechanism}`, async () => {
      const connection = await connectTo(own().loginAddress, { sasl: { mechanism, ...login } })
      const topic = await newTopic(connection, 1)
      const ledger = new Ledger()
      await ledger.publishAll(connection, topic, numbered(1, 0, 3))
      await ledger.follow(connection, topic)
      await eventually(() => ledger.assertComplete())
      const wrong = connectTo(own().loginAddress, { sasl: { mechanism, ...login, password: 'wrong' } })
      await assert.rejects(wrong, TransportUnavailableError)
    })

  test('an encrypted connection, and one whose certificate nobody vouches for', async () => {
    const { address, ca } = own().tls
    const connection = await connectTo(address, { tls: { ca } })
    const topic = await newTopic(connection, 1)
    const ledger = new Ledger()
    await ledger.publishAll(connection, topic, numbered(1, 0, 3))
    await ledger.follow(connection, topic)
    await eventually(() => ledger.assertComplete())
    await assert.rejects(connectTo(address, { tls: true }), TransportUnavailableError)
    await assert.rejects(connectTo(address), TransportUnavailableError)
  })

  test('a message that the broker refuses is refused alone, also when the limit is newer than the connection', async () => {
    const connection = await connectTo(own().address)
    const topic = await newTopic(connection, 1)
    const ledger = new Ledger()
    await ledger.publishAll(connection, topic, numbered(1, 0, 5))
    const admin = new Kafka({ brokers: [own().address], logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const configEntries = [{ name: 'max.message.bytes', value: '5000' }]
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
    await admin.disconnect()

    const messages = numbered(1, 5, 105).map((one, index) => (index === 40 ? { ...one, body: Buffer.alloc(6_000) } : one))
    const refused = async (): Promise<readonly number[]> => {
      const outcomes = await connection.publish(topic, messages)
      return outcomes.flatMap((outcome, index) =>
        outcome.ok ? [] : outcome.error instanceof MessageTooLargeError && outcome.refused ? [index] : [-1],
      )
    }
    // The broker learns of its new setting a moment after it was made.
    await eventually(async () => assert.deepEqual(await refused(), [40]))
    assert.deepEqual(await refused(), [40], 'and before it is sent, from then on')
    for (const [index, message] of messages.entries()) if (index !== 40) ledger.confirmed.set(message.id, message)
    await ledger.follow(connection, topic)
    await eventually(() => ledger.assertComplete())
    ledger.assertOrder()
  })
})
