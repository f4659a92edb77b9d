import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { onTestFinished, test } from 'vitest'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import type { Partition } from '../../../src/transport/port.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { connectTo, keyed, newTopic, numbered, subscriptionTo, textOf } from './clients.ts'
import { Ledger } from './ledger.ts'

describeOnBroker('Kafka', 'consuming from Kafka', (brokers) => {
  test('consumers that are killed in a loop do the work of every message once, and in order', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 4)
    const directory = await mkdtemp(join(tmpdir(), 'headwater-kafka-consumers-'))
    const children = new Set<ChildProcess>()
    onTestFinished(async () => {
      for (const child of children) child.kill('SIGKILL')
      await rm(directory, { recursive: true, force: true })
    })
    const startConsumer = (): ChildProcess => {
      const program = join(import.meta.dirname, 'consumer-process.ts')
      const child = spawn(process.execPath, [program, brokers, topic, topic, directory], { stdio: 'ignore' })
      children.add(child)
      return child
    }
    const done = async (): Promise<string[][]> => {
      const files = await readdir(directory)
      return Promise.all(files.map(async (file) => (await readFile(join(directory, file), 'utf8')).trim().split('\n')))
    }
    const ledger = new Ledger()
    const total = 400
    let isOver = false
    const publishing = (async () => {
      for (let number = 0; number < total; number += 10) {
        await ledger.publishAll(connection, topic, numbered(10, number, number + 10))
        await delay(100)
      }
    })()
    startConsumer()
    const killing = (async () => {
      while (!isOver) {
        const child = startConsumer()
        await delay(1_200)
        if (!isOver) child.kill('SIGKILL')
      }
    })()
    await publishing
    isOver = true
    await killing
    await eventually(async () => assert.equal((await done()).flat().length, 10 * total))
    for (const lines of await done()) {
      const offsets = lines.map((line) => Number(line.split(' ')[0]))
      assert.deepEqual(
        offsets,
        offsets.map((_, index) => index),
        'each message once, without a hole',
      )
    }
  }, 120_000)

  test('a partition that is worked on slowly stops no other, and its messages do not pile up', async () => {
    const metrics = new InMemoryMetrics()
    const connection = await connectTo(brokers, {}, metrics)
    const topic = await newTopic(connection, 3)
    const body = Buffer.alloc(1_000, 'x')
    const { promise: goOn, resolve } = Promise.withResolvers<void>()
    const counts = [0, 0, 0]
    const run = async (partition: Partition): Promise<void> => {
      for await (const batch of partition.read()) {
        counts[partition.number!]! += batch.length
        if (partition.number === 0) await Promise.race([goOn, new Promise((stop) => partition.revoked.addEventListener('abort', stop))])
        await partition.acknowledge(batch)
      }
    }
    await connection.subscribe(subscriptionTo(topic, topic, run, { maxMessages: 100, maxBytes: 100_000 }))
    for (let round = 0; round < 10; round++)
      await connection.publish(
        topic,
        Array.from({ length: 900 }, () => ({ ...keyed('', ''), key: undefined, body })),
      )
    await eventually(() => assert.deepEqual(counts.slice(1), [3_000, 3_000]))
    assert.ok(counts[0]! <= 100, `${counts[0]} messages were given to who is still at the first batch`)
    const labels = { transport: 'kafka', topic, group: topic }
    const received = metrics.value('headwater_transport_received_total', labels)
    assert.ok(received <= 6_100, `${received} received`)
    assert.ok(metrics.value('headwater_transport_held', labels) <= 100)
    resolve()
    await eventually(() => assert.deepEqual(counts, [3_000, 3_000, 3_000]))
    await eventually(() => assert.equal(metrics.value('headwater_transport_held', labels), 0))
  })

  test('messages of no key are spread, and those of one are not', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 5)
    const without = Array.from({ length: 20 }, (_, number) => ({ ...keyed('', `none ${number}`), key: undefined }))
    await connection.publish(topic, [...without, ...numbered(1, 0, 20)])
    const lag = await connection.lag(topic, randomUUID())
    assert.equal(
      lag.reduce((sum, { messages }) => sum + messages, 0),
      40,
    )
    assert.deepEqual(
      lag.map(({ messages }) => messages).toSorted((a, b) => a - b),
      [4, 4, 4, 4, 24],
    )
  })

  test('only partitions that change hands are given up when a member comes', async () => {
    const one = await connectTo(brokers)
    const topic = await newTopic(one, 4)
    const runs: { member: string; number: number; isOver: boolean }[] = []
    const member =
      (name: string) =>
      async (partition: Partition): Promise<void> => {
        const run = { member: name, number: partition.number!, isOver: false }
        runs.push(run)
        for await (const batch of partition.read()) await partition.acknowledge(batch)
        run.isOver = true
      }
    await one.subscribe(subscriptionTo(topic, topic, member('one')))
    await eventually(() => assert.equal(runs.length, 4))
    await (await connectTo(brokers)).subscribe(subscriptionTo(topic, topic, member('two')))
    await eventually(() => assert.equal(runs.filter((run) => run.member === 'two').length, 2))
    assert.equal(runs.filter((run) => run.member === 'one' && run.isOver).length, 2, 'two of four were given up')
    assert.equal(runs.length, 6, 'and none was begun again')
  })

  test('partitions that a topic gets later are consumed too', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 1)
    const ledger = new Ledger()
    await ledger.follow(connection, topic)
    await ledger.follow(await connectTo(brokers), topic)
    await ledger.publishAll(connection, topic, numbered(10, 0, 5))
    await eventually(() => ledger.assertComplete())
    const admin = new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
    await admin.disconnect()
    await eventually(async () => {
      await ledger.publishAll(connection, topic, numbered(10, 5, 10))
      assert.equal((await connection.lag(topic, topic)).length, 5)
      assert.ok(ledger.offsets.size > 1, 'from several partitions')
    })
    await eventually(() => ledger.assertComplete())
  })

  test('who begins at the end begins there again when its partition comes back', async () => {
    const connection = await connectTo(brokers)
    const topic = await newTopic(connection, 1)
    await connection.publish(topic, numbered(1, 0, 3))
    const texts: string[] = []
    let runs = 0
    const run = async (partition: Partition): Promise<void> => {
      runs++
      for await (const batch of partition.read()) {
        if (runs === 1) throw new Error('before it was finished')
        texts.push(...batch.map(textOf))
      }
    }
    await connection.subscribe(subscriptionTo(topic, topic, run, { startAt: { at: 'end' } }))
    // The place is told to the broker too, so that its figures are right.
    await eventually(async () => assert.deepEqual(await connection.lag(topic, topic), [{ partition: 0, messages: 0 }]))
    await connection.publish(topic, numbered(1, 3, 5))
    await eventually(() => assert.deepEqual(texts, ['k0 3', 'k0 4']))
  })

  test('a rebalance that takes longer than a session takes nothing from those who only wait for it', async () => {
    const impatient = { sessionTimeoutMs: 3_000, heartbeatMs: 100 }
    const one = await connectTo(brokers, impatient)
    const two = await connectTo(brokers, impatient)
    const topic = await newTopic(one, 6)
    const runs: { number: number; member: string; isOver: boolean }[] = []
    const member =
      (name: string, endsAfterMs: number) =>
      async (partition: Partition): Promise<void> => {
        const run = { number: partition.number!, member: name, isOver: false }
        runs.push(run)
        for await (const batch of partition.read()) await partition.acknowledge(batch)
        await delay(endsAfterMs)
        run.isOver = true
      }
    const working = (name: string): number => runs.filter((run) => run.member === name && !run.isOver).length
    await one.subscribe(subscriptionTo(topic, topic, member('quick', 0)))
    await two.subscribe(subscriptionTo(topic, topic, member('slow', 6_000)))
    await eventually(() => assert.deepEqual([working('quick'), working('slow')], [3, 3]))
    const begun = runs.length
    const third = await connectTo(brokers, impatient)
    await third.subscribe(subscriptionTo(topic, topic, member('third', 0)))
    await eventually(() => assert.equal(working('third'), 2))
    assert.equal(runs.length, begun + 2, 'nobody else began anew')
  })
})
