import { expect, onTestFinished, test } from 'vitest'
import { Consumer, consume } from '../../../src/conformance/transport/consumer.ts'
import { keyed, message, publishAll, textsOf } from '../../../src/conformance/transport/messages.ts'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import type { Storage } from '../../../src/storage/port.ts'
import { UnsupportedByTransportError } from '../../../src/transport/errors.ts'
import type { LogTransportOptions } from '../../../src/transport/log/index.ts'
import { log } from '../../../src/transport/log/index.ts'
import type { TransportConnection } from '../../../src/transport/port.ts'
import { eventually } from '../../support/eventually.ts'
import { memory } from '../../support/memory-driver.ts'
import { describeOnEveryStore } from '../../support/stores.ts'
import { TransientError, wrapped } from '../../support/wrapped-storage.ts'

async function connect(storage: Storage, options: LogTransportOptions = {}): Promise<TransportConnection> {
  const connection = await log(storage, options).connect({ environment: environment({ log: silentLog }), clientName: 'test' })
  onTestFinished(() => connection.close())
  return connection
}

async function open(storage: Storage): Promise<EventStore> {
  const store = await EventStore.open(storage, { log: silentLog })
  onTestFinished(() => store.close())
  return store
}

test('a connection that breaks while a topic is looked for is no error of whoever publishes', async () => {
  let breaks = 0
  const storage = wrapped(memory(), (driver) => ({
    readStream: (range) => (breaks-- > 0 ? Promise.reject(new TransientError('the connection broke')) : driver.readStream(range)),
  }))
  const connection = await connect(storage)
  await connection.ensureTopic({ name: 'orders' })
  breaks = 2
  expect(await connection.publish('orders', [message('hello')])).toEqual([{ ok: true }])
  expect(breaks).toBeLessThan(0)
})

test('large messages are counted without being in memory together', async () => {
  let mostBytes = 0
  const storage = wrapped(memory(), (driver) => ({
    readLog: async (range) => {
      const page = await driver.readLog(range)
      mostBytes = Math.max(mostBytes, JSON.stringify(page).length)
      return page
    },
  }))
  const connection = await connect(storage)
  await connection.ensureTopic({ name: 'orders' })
  await connection.ensureGroup('orders', 'g', { at: 'beginning' })
  const large = Array.from({ length: 200 }, (_, n) => message(`${n} `.padEnd(100_000, 'x')))
  await publishAll(connection, 'orders', large)
  mostBytes = 0
  expect(await connection.lag('orders', 'g')).toMatchObject([{ messages: 200 }])
  expect(mostBytes).toBeGreaterThan(0)
  expect(mostBytes).toBeLessThan(6 * 1024 * 1024)
})

describeOnEveryStore('the log transport', (fresh) => {
  test('a message is an event that can be found in the log', async () => {
    const storage = await fresh()
    const connection = await connect(storage)
    await connection.ensureTopic({ name: 'orders' })
    const attributes = { specversion: '1.0', id: 'e-1', source: '/shop', type: 'OrderPlaced', correlationid: 'c-1' }
    const body = Buffer.from('{"total":7}')
    await publishAll(connection, 'orders', [message('', { id: 'e-1', key: 'o-1', attributes, body }), message('plain', { id: 'm-2' })])
    const store = await open(storage)
    const events = await store.driver.readLog({ after: 0, limit: 10, categories: ['orders'] })
    expect(events).toMatchObject([
      {
        stream: 'orders:o-1',
        type: 'OrderPlaced',
        id: 'e-1',
        correlationId: 'c-1',
        data: { text: '{"total":7}' },
        metadata: { attributes },
      },
      { stream: 'orders', type: 'message', id: 'm-2', data: { text: 'plain' }, metadata: {} },
    ])
  })

  test('the same id in two topics is two messages', async () => {
    const connection = await connect(await fresh())
    for (const topic of ['one', 'other']) {
      await connection.ensureTopic({ name: topic })
      await publishAll(connection, topic, [message(topic, { id: 'same' })])
    }
    for (const topic of ['one', 'other']) {
      const consumer = await consume(connection, { topic, group: 'g' })
      await consumer.exactly(1)
      expect(textsOf(consumer.received)).toEqual([topic])
    }
  })

  test('what a database cannot hold is refused by itself', async () => {
    const connection = await connect(await fresh())
    await connection.ensureTopic({ name: 't' })
    const outcomes = await connection.publish('t', [
      message('before'),
      message('nul', { headers: { value: 'a\u0000b' } }),
      message('half a pair', { headers: { value: '\ud800' } }),
      message('a NUL in a body is fine \u0000'),
    ])
    expect(outcomes).toMatchObject([{ ok: true }, { ok: false, refused: true }, { ok: false, refused: true }, { ok: true }])
    const consumer = await consume(connection, { topic: 't', group: 'g' })
    await consumer.exactly(2)
    expect(textsOf(consumer.received)).toEqual(['before', 'a NUL in a body is fine \u0000'])
  })

  test('a repetition of which some is stored is not overtaken by what was given after it', async () => {
    const connection = await connect(await fresh())
    await connection.ensureTopic({ name: 't' })
    const sent = keyed(1, 60)
    await publishAll(connection, 't', sent.slice(0, 10))
    // As a relay does that has lost its checkpoint, with several calls under way.
    await Promise.all([0, 15, 30, 45].map((from) => publishAll(connection, 't', sent.slice(from, from + 15))))
    const consumer = await consume(connection, { topic: 't', group: 'g' })
    await consumer.exactly(60)
    expect(textsOf(consumer.received)).toEqual(textsOf(sent))
  })

  test('a start at a time finds its message also where times do not ascend with positions', async () => {
    const storage = await fresh()
    const store = await open(storage)
    const connection = await connect(storage)
    await connection.ensureTopic({ name: 't' })
    const nowMs = Date.now()
    // As processes do that waited longer for their commits than others, or whose clocks differ.
    for (const [index, secondsAgo] of [90, 30, 50, 20, 40, 25, 10, 35, 5].entries())
      await store.append(index % 3 === 0 ? 't' : 'other', {
        type: 'message',
        data: { text: `${secondsAgo}` },
        time: new Date(nowMs - secondsAgo * 1_000),
      })
    const startAt = { at: 'time', timeMs: nowMs - 22_000 } as const
    const consumer = await consume(connection, { topic: 't', group: 'g', startAt })
    await consumer.exactly(2)
    expect(textsOf(consumer.received)).toEqual(['20', '10'])
  })

  test('one id twice in a call is one message', async () => {
    const connection = await connect(await fresh())
    await connection.ensureTopic({ name: 't' })
    const twice = message('twice')
    await publishAll(connection, 't', [message('a'), twice, message('b'), twice])
    const consumer = await consume(connection, { topic: 't', group: 'g' })
    await consumer.exactly(3)
    expect(textsOf(consumer.received)).toEqual(['a', 'twice', 'b'])
  })

  test('topics whose names cannot be categories are refused', async () => {
    const connection = await connect(await fresh())
    for (const name of ['', 'with:colon', 'line\nbreak', 'x'.repeat(151), 'headwater-topic'])
      await expect(connection.ensureTopic({ name })).rejects.toThrow(UnsupportedByTransportError)
  })

  test('a reader is woken by what another process publishes, long before it would look by itself', async () => {
    const storage = await fresh()
    const [connection, other] = [await connect(storage, { pollMs: 3_600_000 }), await connect(storage)]
    await connection.ensureTopic({ name: 't' })
    const consumer = await consume(connection, { topic: 't', group: 'g' })
    await eventually(() => expect(consumer.runs.length).toBe(1))
    for (let count = 1; count <= 5; count++) {
      await publishAll(other, 't', [message(`m${count}`)])
      await consumer.until(count)
    }
  })

  test('what is published while a page is dealt with is noticed, also when nothing else is left of what was read ahead', async () => {
    const connection = await connect(await fresh(), { pollMs: 3_600_000 })
    for (const name of ['t', 'other']) await connection.ensureTopic({ name })
    await publishAll(
      connection,
      't',
      Array.from({ length: 10 }, (_, n) => message(`${n}`)),
    )
    await publishAll(connection, 'other', [message('behind them')])
    const received: (readonly string[])[] = []
    await connection.subscribe({
      topic: 't',
      group: 'g',
      startAt: { at: 'beginning' },
      maxMessages: 10,
      maxBytes: 1024 * 1024,
      releaseTimeoutMs: 500,
      async run(partition) {
        for await (const batch of partition.read()) {
          if (received.length === 0) await publishAll(connection, 't', [message('late')])
          received.push(textsOf(batch))
        }
      },
    })
    await eventually(() => expect(received).toEqual([expect.objectContaining({ length: 10 }), ['late']]))
  })

  test('a topic whose owner is gone without a word is taken over when the lease has expired, and not before', async () => {
    const storage = await fresh()
    const connection = await connect(storage)
    await connection.ensureTopic({ name: 't' })
    await publishAll(connection, 't', [message('m')])
    const store = await open(storage)
    const ttlMs = 600
    const beganMs = performance.now()
    const claim = await store.driver.processors.claim({ processor: 'transport:t/g', owner: 'gone', ttlMs, startAt: 0 })
    expect(claim.claimed).toBe(true)
    const consumer = await consume(connection, { topic: 't', group: 'g' })
    await consumer.until(1)
    expect(performance.now() - beganMs).toBeGreaterThan(ttlMs - 5)
  })

  test('an owner that lost its lease is told, and competes for it again', async () => {
    const storage = await fresh()
    const connection = await connect(storage, { leaseTtlMs: 300 })
    await connection.ensureTopic({ name: 't' })
    const consumer = await new Consumer(connection, { topic: 't', group: 'g' }).start()
    await eventually(() => expect(consumer.runs.length).toBe(1))
    const store = await open(storage)
    await store.driver.processors.reset({ processor: 'transport:t/g', position: 0 })
    await eventually(() => expect(consumer.runs[0]).toMatchObject({ isOver: true, partition: { revoked: { aborted: true } } }))
    await eventually(() => expect(consumer.runs.length).toBe(2))
    await publishAll(connection, 't', [message('m')])
    await consumer.until(1)
    expect(consumer.failures).toEqual([])
  })

  test('acknowledgements move the group’s checkpoint, for operators to see', async () => {
    const storage = await fresh()
    const connection = await connect(storage)
    await connection.ensureTopic({ name: 't' })
    await publishAll(connection, 't', keyed(3, 10))
    const consumer = await consume(connection, { topic: 't', group: 'g' })
    await consumer.until(30)
    await consumer.close()
    const store = await open(storage)
    const processors = await store.driver.processors.list()
    expect(processors).toMatchObject([{ processor: 'transport:t/g', position: consumer.received.at(-1)?.offset, owner: undefined }])
  })
})
