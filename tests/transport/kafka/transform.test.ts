import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import type { KafkaMessage } from 'kafkajs'
import { onTestFinished, test } from 'vitest'
import { InvalidDefinitionError } from '../../../src/message/errors.ts'
import type { Log } from '../../../src/observability/log.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { PermanentError } from '../../../src/processing/retry.ts'
import type { RunningTransform } from '../../../src/transport/kafka/index.ts'
import { startTransform } from '../../../src/transport/kafka/index.ts'
import type { OutgoingMessage, Partition, ReceivedMessage } from '../../../src/transport/port.ts'
import type { Topic } from '../../../src/transport/topic.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { connectTo, subscriptionTo } from './clients.ts'
import type { JavaRecord } from './java-client.ts'
import { readByJava } from './java-client.ts'
import { Ledger } from './ledger.ts'
import { Counted, counted, Doubled, Logged, noted, stageOf } from './transformed.ts'

describeOnBroker('Kafka', 'a transform from topic to topic of Kafka', (brokers) => {
  const kafkajs = new Kafka({ brokers: brokers.split(','), clientId: 'kafkajs', logLevel: logLevel.NOTHING })
  const quick = { brokers, sessionTimeoutMs: 3_000, heartbeatMs: 200, log: silentLog } as const
  type Read = KafkaMessage & { readonly partition: number }

  /** What somebody else's client sees of a topic, with headers that are no texts. It does not leave out every transaction that was aborted beside another one. */
  async function follow(topic: string): Promise<readonly Read[]> {
    const consumer = kafkajs.consumer({ groupId: randomUUID(), maxWaitTimeInMs: 100, readUncommitted: false })
    await consumer.connect()
    onTestFinished(() => consumer.disconnect())
    await consumer.subscribe({ topic, fromBeginning: true })
    const seen: Read[] = []
    await consumer.run({ eachMessage: async ({ message, partition }) => void seen.push({ ...message, partition }) })
    return seen
  }

  /** What Headwater's own consumers see: what was committed. */
  async function followCommitted({ name }: Topic): Promise<readonly ReceivedMessage[]> {
    const connection = await connectTo(brokers)
    const seen: ReceivedMessage[] = []
    const run = async (partition: Partition): Promise<void> => {
      for await (const batch of partition.read()) seen.push(...batch)
    }
    await connection.subscribe(subscriptionTo(name, randomUUID(), run))
    return seen
  }

  async function publish(topic: Topic, messages: readonly OutgoingMessage[]): Promise<void> {
    const connection = await connectTo(brokers)
    await connection.ensureTopic(topic.spec)
    await new Ledger().publishAll(connection, topic.name, messages)
  }

  function stopAtEnd(running: RunningTransform): RunningTransform {
    onTestFinished(() => running.stop())
    return running
  }

  const textOf = (value: unknown): string => String(value)
  const dataOf = (message: Read | ReceivedMessage | JavaRecord): { readonly key: string; readonly number: number } =>
    JSON.parse('body' in message ? Buffer.from(message.body).toString() : textOf(message.value))
  const numbersByKey = (messages: readonly (Read | ReceivedMessage | JavaRecord)[]): Readonly<Record<string, readonly number[]>> =>
    Object.fromEntries([...Map.groupBy(messages.map(dataOf), ({ key }) => key)].map(([key, of]) => [key, of.map(({ number }) => number)]))
  const upTo = (count: number): readonly number[] => Array.from({ length: count }, (_, number) => number)
  const keys = ['a', 'b', 'c', 'd', 'e']
  const messagesFor = (topic: Topic, count: number, from = 0): readonly OutgoingMessage[] =>
    upTo(count).flatMap((number) => keys.map((key) => counted(topic, key, from + number)))
  const complete = (count: number): Readonly<Record<string, readonly number[]>> => Object.fromEntries(keys.map((key) => [key, upTo(count)]))
  const sorted = <T>(record: Readonly<Record<string, T>>): Readonly<Record<string, T>> =>
    Object.fromEntries(Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : 1)))

  test('writes what it makes of each event, in order, caused by it; a topic gets the events that it lists', async () => {
    const name = randomUUID()
    const { from, doubled, logged } = stageOf(name)
    await publish(from, [...messagesFor(from, 20), noted(from, 'not for it')])
    const running = stopAtEnd(
      await startTransform({ ...quick, group: name, from, on: Counted, to: [doubled, logged], emits: [Doubled, Logged] }, ({ data }) =>
        data.number % 2 === 0 ? [Doubled({ ...data, twice: 2 * data.number }), Logged(data)] : Logged(data),
      ),
    )
    const [seen, all] = [await follow(doubled.name), await follow(logged.name)]
    await eventually(() => assert.equal(all.length, 100))
    assert.deepEqual(sorted(numbersByKey(all)), complete(20))
    await eventually(() => assert.equal(seen.length, 50))
    const one = seen.find((message) => dataOf(message).key === 'c' && dataOf(message).number === 6)
    const headers = Object.fromEntries(Object.entries(one?.headers ?? {}).map(([header, value]) => [header, textOf(value)]))
    const { ce_source, ce_subject, ce_correlationid, ce_causationid, ce_type } = headers
    assert.deepEqual(
      [textOf(one?.key), ce_source, ce_subject, ce_correlationid, ce_causationid, ce_type],
      ['c', name, 'counter:c', 'the-beginning', 'c-6', 'Doubled'],
    )
    assert.equal(new Set([...seen, ...all].map((message) => textOf(message.headers?.['ce_id']))).size, 150)
    await eventually(async () =>
      assert.deepEqual(
        (await running.lag()).map(({ messages }) => messages),
        [0, 0, 0, 0],
      ),
    )
  })

  test('stages behind each other have nothing left to do in the end, though ends of transactions lie between their messages', async () => {
    const name = randomUUID()
    const { from, doubled, logged } = stageOf(name)
    await publish(from, messagesFor(from, 20))
    const double = { ...quick, group: `${name}.double`, from, on: Counted, to: doubled, emits: Doubled } as const
    const first = stopAtEnd(await startTransform(double, ({ data }) => Doubled({ ...data, twice: 2 * data.number })))
    const note = { ...quick, group: `${name}.note`, from: doubled, on: Doubled, to: logged, emits: Logged } as const
    const second = stopAtEnd(await startTransform(note, ({ data: { key, number } }) => Logged({ key, number })))
    const ledger = new Ledger()
    const connection = await connectTo(brokers)
    await ledger.follow(connection, logged.name)
    await eventually(() => assert.equal(ledger.count, 100))
    await publish(from, messagesFor(from, 1, 20))
    await eventually(() => assert.equal(ledger.count, 105))
    for (const lag of [() => first.lag(), () => second.lag(), () => connection.lag(logged.name, logged.name)])
      await eventually(async () => assert.deepEqual(new Set((await lag()).map(({ messages }) => messages)), new Set([0])))
  })

  test('is refused where it is defined wrongly', async () => {
    const { from, doubled } = stageOf('wrong')
    const wrong = { ...quick, group: 'wrong', from, to: doubled } as const
    await assert.rejects(
      startTransform({ ...wrong, on: Doubled, emits: Doubled }, () => undefined),
      InvalidDefinitionError,
    )
    await assert.rejects(
      startTransform({ ...wrong, on: Counted, emits: Logged }, () => undefined),
      InvalidDefinitionError,
    )
    await assert.rejects(
      startTransform({ ...wrong, on: Counted, emits: Doubled, timeoutMs: 0 }, () => undefined),
      InvalidDefinitionError,
    )
  })

  test('goes on where it was stopped, and a group that begins now does not begin elsewhere after a restart', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name, 1)
    await publish(from, messagesFor(from, 3))
    const start = (): Promise<RunningTransform> =>
      startTransform({ ...quick, group: name, from, on: Counted, to: logged, emits: Logged, startAt: 'now' }, ({ data }) => Logged(data))
    const first = await start()
    await eventually(async () => assert.deepEqual(await first.lag(), [{ partition: 0, messages: 0 }]))
    await first.stop()
    await publish(from, messagesFor(from, 2, 3))
    const second = await start()
    const seen = await follow(logged.name)
    await eventually(() => assert.equal(seen.length, 10))
    await second.stop()
    await publish(from, messagesFor(from, 1, 5))
    stopAtEnd(await start())
    await eventually(() => assert.equal(seen.length, 15))
    assert.deepEqual(numbersByKey(seen)['a'], [3, 4, 5])
  })

  test('tries again what fails, while those behind it wait; what fails for good goes to the topic of dead letters', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name, 2)
    const broken = { ...counted(from, 'a', 100), body: Buffer.from('{"key":"a"') }
    const invalid = { ...counted(from, 'a', 101), body: Buffer.from('{"key":7}') }
    await publish(from, [...messagesFor(from, 10), broken, invalid, ...messagesFor(from, 10, 10)])
    const attempts = new Map<number, number>()
    const retry = { attempts: 4, firstMs: 5, maxMs: 20 }
    const options = { ...quick, group: name, from, on: Counted, to: logged, emits: Logged, retry } as const
    stopAtEnd(
      await startTransform(options, async ({ data }, { attempt }) => {
        if (data.key !== 'a') return Logged(data)
        attempts.set(data.number, attempt)
        if (data.number === 2 && attempt < 4) throw new Error('not yet')
        if (data.number === 4) throw new PermanentError('never')
        if (data.number === 6) throw new Error('again and again')
        return Logged(data)
      }),
    )
    const [seen, dead] = [await follow(logged.name), await follow(`${from.name}.dlq`)]
    await eventually(() => assert.equal(seen.length, 98))
    await eventually(() => assert.equal(dead.length, 4))
    assert.deepEqual(sorted(numbersByKey(seen)), { ...complete(20), a: upTo(20).filter((number) => number !== 4 && number !== 6) })
    assert.deepEqual(
      [2, 4, 6].map((number) => attempts.get(number)),
      [4, 1, 4],
    )

    const bodies = dead.map(({ value }) => textOf(value))
    assert.deepEqual(bodies, ['{"key":"a","number":4}', '{"key":"a","number":6}', '{"key":"a"', '{"key":7}'])
    const [first, , unreadable] = dead
    const source = await follow(from.name)
    await eventually(() => assert.ok(source.length >= 100))
    const original = source.find((message) => textOf(message.headers?.['ce_id']) === 'a-4')
    const header = (named: string): Buffer => first?.headers?.[`kafka_dlt-${named}`] as Buffer
    assert.equal(textOf(header('original-topic')), from.name)
    assert.equal(header('original-partition').readInt32BE(), original?.partition)
    assert.equal(String(header('original-offset').readBigInt64BE()), original?.offset)
    assert.equal(String(header('original-timestamp').readBigInt64BE()), original?.timestamp)
    assert.equal(textOf(header('original-consumer-group')), name)
    assert.equal(textOf(header('exception-fqcn')), 'PermanentError')
    assert.match(textOf(header('exception-message')), /never/)
    assert.match(textOf(header('exception-stacktrace')), /transform\.test\.ts/)
    assert.deepEqual([textOf(first?.key), textOf(first?.headers?.['ce_id']), first?.partition], ['a', 'a-4', original?.partition])
    assert.equal(textOf(unreadable?.headers?.['kafka_dlt-exception-fqcn']), 'UnreadableMessageError')
  })

  test('one that takes too long is told so, nothing of that attempt is written, and it is tried again and given up like any failure', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name, 1)
    await publish(from, messagesFor(from, 3))
    const attempts: string[] = []
    const retry = { attempts: 2, firstMs: 5, maxMs: 20 }
    const options = { ...quick, group: name, from, on: Counted, to: logged, emits: Logged, retry, timeoutMs: 50 } as const
    stopAtEnd(
      await startTransform(options, async ({ data }, { attempt, signal }) => {
        const isSlow = data.number === 1 && (data.key === 'b' || (data.key === 'a' && attempt === 1))
        if (!isSlow) return Logged(data)
        await once(signal, 'abort')
        attempts.push(`${data.key} ${attempt} ${(signal.reason as Error).name}`)
        return Logged({ ...data, number: 100 + attempt })
      }),
    )
    const [seen, dead] = [await follow(logged.name), await follow(`${from.name}.dlq`)]
    await eventually(() => assert.equal(seen.length, 14))
    assert.deepEqual(sorted(numbersByKey(seen)), { ...complete(3), b: [0, 2] })
    assert.deepEqual(
      attempts.toSorted(),
      ['a 1', 'b 1', 'b 2'].map((which) => `${which} TransformTimeoutError`),
    )
    await eventually(() => assert.equal(dead.length, 1))
    assert.equal(textOf(dead[0]?.headers?.['kafka_dlt-exception-fqcn']), 'TransformTimeoutError')
    assert.deepEqual(dead.map(dataOf), [{ key: 'b', number: 1 }])
  })

  test('an output that its topic does not take makes a dead letter of its input, and many large ones are written in parts', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name, 1)
    await publish(from, messagesFor(from, 2))
    const large = 'x'.repeat(600_000)
    stopAtEnd(
      await startTransform({ ...quick, group: name, from, on: Counted, to: logged, emits: Logged }, ({ data }) => {
        const key = data.key === 'a' && data.number === 1 ? large.repeat(2) : large
        return [Logged({ ...data, key }), Logged({ ...data, key: large })]
      }),
    )
    const [seen, dead] = [await follow(logged.name), await follow(`${from.name}.dlq`)]
    await eventually(() => assert.equal(dead.length, 1))
    assert.equal(textOf(dead[0]?.headers?.['kafka_dlt-exception-fqcn']), 'MessageTooLargeError')
    await eventually(() => assert.equal(seen.length, 18))
  })

  test('who is shut out in the middle of its work has what it did undone, and does it again', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name, 1)
    await publish(from, messagesFor(from, 4))
    const said: string[] = []
    const log: Log = (level, message) => void said.push(`${level}: ${message}`)
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const { promise: goOn, resolve: letGo } = Promise.withResolvers<void>()
    stopAtEnd(
      await startTransform({ ...quick, log, group: name, from, on: Counted, to: logged, emits: Logged }, async ({ data }) => {
        begin()
        await goOn
        return Logged(data)
      }),
    )
    await begun
    // Somebody takes the transactional id over, and leaves a transaction of its own behind.
    const other = kafkajs.producer({ transactionalId: `headwater.${name}.${from.name}.0`, idempotent: true, maxInFlightRequests: 1 })
    await other.connect()
    onTestFinished(() => other.disconnect())
    const transaction = await other.transaction()
    await transaction.send({ topic: logged.name, messages: [{ value: 'never committed' }] })
    letGo()
    const seen = await followCommitted(logged)
    await eventually(() => assert.equal(seen.length, 20))
    assert.deepEqual(sorted(numbersByKey(seen)), complete(4))
    assert.ok(said.includes('warn: consuming a partition failed and is tried again'), said.join())
  })

  test('each output is there once and in order when members come and go, with transforms under way', async () => {
    const name = randomUUID()
    const { from, logged } = stageOf(name)
    await publish(from, messagesFor(from, 60))
    const begun = new Set<string>()
    const start = (member: string): Promise<RunningTransform> =>
      startTransform({ ...quick, group: name, from, on: Counted, to: logged, emits: Logged, concurrency: 2 }, async ({ data }) => {
        begun.add(member)
        await delay(3)
        return Logged(data)
      })
    const first = await start('first')
    const seen = await followCommitted(logged)
    await eventually(() => assert.ok(seen.length > 10))
    const second = stopAtEnd(await start('second'))
    await publish(from, messagesFor(from, 60, 60))
    await eventually(() => assert.ok(begun.has('second')))
    await first.stop()
    await publish(from, messagesFor(from, 20, 120))
    await eventually(() => assert.equal(seen.length, 700))
    await eventually(async () =>
      assert.deepEqual(
        (await second.lag()).map(({ messages }) => messages),
        [0, 0, 0, 0],
      ),
    )
    assert.deepEqual(sorted(numbersByKey(seen)), complete(140))
  })

  test('processes that are killed or frozen in a loop write each output once and in order', async () => {
    const name = randomUUID()
    const { from, doubled, logged } = stageOf(name)
    const children = new Set<ChildProcess>()
    onTestFinished(() => {
      for (const child of children) child.kill('SIGKILL')
    })
    const startProcess = (): ChildProcess => {
      const program = join(import.meta.dirname, 'transform-process.ts')
      const child = spawn(process.execPath, [program, brokers, name], { stdio: 'ignore' })
      children.add(child)
      return child
    }
    const connection = await connectTo(brokers)
    for (const { spec } of [from, doubled, logged]) await connection.ensureTopic(spec)
    const [seen, all] = [await followCommitted(doubled), await followCommitted(logged)]
    let isOver = false
    const publishing = (async () => {
      for (let number = 0; ; number += 5) {
        if (isOver) return number
        await connection.publish(from.name, messagesFor(from, 5, number))
        await delay(50)
      }
    })()
    const stopped: ChildProcess[] = []
    let eldest = startProcess()
    for (let round = 0; round < 4; round++) {
      const next = startProcess()
      const before = all.length
      await eventually(() => assert.ok(all.length > before))
      await delay(400 + 150 * round)
      // One that only stands still for a while goes on as if it had its partitions still.
      if (round % 2 === 0) stopped.push(eldest)
      eldest.kill(round % 2 === 0 ? 'SIGSTOP' : 'SIGKILL')
      eldest = next
    }
    const before = all.length
    await eventually(() => assert.ok(all.length > before))
    for (const child of stopped) child.kill('SIGCONT')
    isOver = true
    const total = await publishing
    await eventually(() => assert.equal(all.length, keys.length * total), 30_000)
    await eventually(() => assert.equal(seen.length, keys.length * total))
    assert.deepEqual(sorted(numbersByKey(all)), complete(total))
    assert.deepEqual(sorted(numbersByKey(seen)), complete(total))
    assert.deepEqual(sorted(numbersByKey(await readByJava(brokers, [logged.name]))), complete(total))
  }, 120_000)
})
