import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import { TransportUnavailableError, UnsupportedByTransportError } from '../../../src/transport/errors.ts'
import type { OutgoingMessage, TransportConnection } from '../../../src/transport/port.ts'
import type { SqsOptions } from '../../../src/transport/sqs/index.ts'
import { eventually } from '../../support/eventually.ts'
import type { Failures } from './fake-service.ts'
import { failure, FakeService } from './fake-service.ts'

const topic = 'orders'
const queue = 'orders--billing.fifo'

async function start(
  options: SqsOptions = {},
): Promise<{ service: FakeService; connection: TransportConnection; metrics: InMemoryMetrics }> {
  const service = new FakeService()
  const metrics = new InMemoryMetrics()
  const connection = await service.connect({ publishTimeoutMs: 5_000, ...options }, metrics)
  onTestFinished(() => connection.close())
  await connection.ensureTopic({ name: topic })
  await connection.ensureGroup(topic, 'billing', { at: 'end' })
  return { service, connection, metrics }
}

let ids = 0
function message(text: string, key: string | undefined = text.slice(0, 1)): OutgoingMessage {
  return { id: `id-${++ids}`, key, attributes: {}, headers: {}, body: Buffer.from(text) }
}

function idOf(entries: readonly { Id: string | undefined; MessageBody: string | undefined }[], body: string): string | undefined {
  return entries.find((entry) => entry.MessageBody === body)?.Id
}

function failing(
  entries: readonly { Id: string | undefined; MessageBody: string | undefined }[],
  body: string,
  how: Failures[number],
): Failures {
  const Id = idOf(entries, body)
  return Id === undefined ? [] : [{ Id, ...how }]
}

const passing = { SenderFault: false, Code: 'InternalFailure' }

test('an entry that failed for a passing reason is sent again before what stands behind it, and other keys go on', async () => {
  const { service, connection } = await start()
  let failures = 3
  service.answer = (_, entries) => {
    const failed = failing(entries, 'a0', passing)
    return failed.length > 0 && failures-- > 0 ? failed : []
  }
  const outcomes = await connection.publish(
    topic,
    ['a0', 'b0', 'a1', 'b1', 'a2'].map((text) => message(text)),
  )
  expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, true, true, true])
  const taken = service.queues.get(queue)!
  expect(taken.filter((text) => text.startsWith('a'))).toEqual(['a0', 'a1', 'a2'])
  expect(taken.filter((text) => text.startsWith('b'))).toEqual(['b0', 'b1'])
})

test('no request holds two messages of a key, unless that is allowed', async () => {
  const messages = (): OutgoingMessage[] => Array.from({ length: 12 }, (_, index) => message(`a${index}`))
  const strict = await start()
  await strict.connection.publish(topic, messages())
  expect(strict.service.requests.map((request) => request.length)).toEqual(Array(12).fill(1))

  const quick = await start({ batchSameKey: true })
  await quick.connection.publish(topic, messages())
  expect(quick.service.requests.map((request) => request.length)).toEqual([10, 2])
  expect(quick.service.queues.get(queue)).toEqual(messages().map(({ body }) => Buffer.from(body).toString()))
})

test('a message that SQS will never take is refused, and the next one of its key is sent', async () => {
  const { service, connection, metrics } = await start()
  service.answer = (_, entries) => failing(entries, 'a0', { SenderFault: true, Code: 'InvalidMessageContents', Message: 'no good' })
  const [refused, next] = await connection.publish(topic, [message('a0'), message('a1')])
  expect(refused).toMatchObject({ ok: false, refused: true })
  expect(refused?.ok === false && refused.error).toBeInstanceOf(UnsupportedByTransportError)
  expect(refused?.ok === false && refused.error.message).toContain('InvalidMessageContents: no good')
  expect(next).toEqual({ ok: true })
  expect(metrics.value('headwater_transport_publish_failures_total', { transport: 'sqs', topic })).toBe(1)
  expect(metrics.value('headwater_transport_published_total', { transport: 'sqs', topic })).toBe(1)
})

test.each(['RequestThrottled', 'ThrottlingException', 'KMS.ThrottlingException', 'TooManyRequests'])(
  'throttling is no refusal, though it is said to be the sender’s fault: %s',
  async (name) => {
    const { service, connection } = await start()
    service.answer = (_, entries, request) => {
      if (request === 1) throw failure(name, 400)
      return request === 2 ? failing(entries, 'a0', { SenderFault: true, Code: name }) : []
    }
    expect(await connection.publish(topic, [message('a0')])).toEqual([{ ok: true }])
    expect(service.requests.length).toBe(3)
  },
)

test('a message for which a whole request is refused is refused itself, and the others are sent', async () => {
  const { service, connection } = await start()
  service.answer = (_, entries) => {
    if (idOf(entries, 'a0') !== undefined) throw failure('InvalidMessageContents', 400)
    return []
  }
  const outcomes = await connection.publish(
    topic,
    ['b0', 'a0', 'c0', 'a1'].map((text) => message(text)),
  )
  expect(outcomes.map((outcome) => outcome.ok || outcome.refused)).toEqual([true, true, true, true])
  expect(outcomes[1]).toMatchObject({ ok: false, refused: true, error: { code: 'unsupported-by-transport' } })
  expect(service.queues.get(queue)!.toSorted()).toEqual(['a1', 'b0', 'c0'])
})

test('a request that is refused as a whole holds up only the key that is to blame', async () => {
  const { service, connection } = await start({ publishTimeoutMs: 1_000 })
  service.answer = (_, entries) => {
    if (idOf(entries, 'a0') !== undefined) throw failure('SomethingIsWrong', 400)
    return []
  }
  const texts = ['b0', 'a0', 'c0', 'a1', 'b1']
  const outcomes = await connection.publish(
    topic,
    texts.map((text) => message(text)),
  )
  expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, false, true])
  expect(service.queues.get(queue)!.toSorted()).toEqual(['b0', 'b1', 'c0'])
  const [, blamed, , behind] = outcomes
  expect(blamed).toMatchObject({ ok: false, refused: false })
  expect(blamed?.ok === false && blamed.error.message).toContain('SomethingIsWrong')
  expect(behind?.ok === false && behind.error).toBeInstanceOf(TransportUnavailableError)
})

test('what is not answered in time is said to be unconfirmed, nothing behind it of its key is sent, and the key goes on afterwards', async () => {
  const { service, connection } = await start({ publishTimeoutMs: 1_000 })
  const { promise: answered, resolve: answer } = Promise.withResolvers<Failures>()
  service.answer = (_, entries) => (idOf(entries, 'a0') === undefined ? [] : answered)
  const late = connection.publish(topic, [message('a0'), message('b0')])
  await eventually(() => expect(service.requests).toEqual([['a0', 'b0']]))
  const behind = connection.publish(topic, [message('a1'), message('c0')])
  const [a0, b0] = await late
  expect([a0?.ok, b0?.ok]).toEqual([false, false])
  expect((await behind).map(({ ok }) => ok)).toEqual([false, true])

  const again = connection.publish(topic, [message('a2')])
  answer([])
  expect(await again).toEqual([{ ok: true }])
  // What was not confirmed may have been taken all the same, but in its place.
  expect(service.queues.get(queue)!.filter((text) => text.startsWith('a'))).toEqual(['a0', 'a2'])
})

test('a message is confirmed when every group’s queue has it', async () => {
  const { service, connection } = await start()
  await connection.ensureGroup(topic, 'shipping', { at: 'end' })
  let isDown = true
  service.answer = (name) => {
    if (isDown && name.includes('shipping')) throw failure('ServiceUnavailable', 503)
    return []
  }
  let isConfirmed = false
  const published = connection.publish(topic, [message('a0')]).finally(() => (isConfirmed = true))
  await eventually(() => expect(service.queues.get(queue)).toEqual(['a0']))
  await eventually(() => expect(service.requests.length).toBeGreaterThan(3))
  expect(isConfirmed).toBe(false)
  isDown = false
  expect(await published).toEqual([{ ok: true }])
  expect(service.queues.get('orders--shipping.fifo')).toEqual(['a0'])
  expect(service.queues.get(queue), 'not sent again to the queue that has it').toEqual(['a0'])
})

test('a group whose queue was deleted holds up nobody', async () => {
  const { service, connection } = await start({ queueCacheMs: 500 })
  await connection.ensureGroup(topic, 'gone', { at: 'end' })
  await connection.publish(topic, [message('a0')])
  service.queues.delete('orders--gone.fifo')
  expect(await connection.publish(topic, [message('a1'), message('a2')])).toEqual([{ ok: true }, { ok: true }])
  expect(service.queues.get(queue)).toEqual(['a0', 'a1', 'a2'])
})

test('a queue that SQS does not list for a moment still gets everything', async () => {
  const { service, connection } = await start()
  await connection.publish(topic, [message('a0')])
  service.isListed = (name) => name !== queue
  expect(await connection.publish(topic, [message('a1')])).toEqual([{ ok: true }])
  expect(service.queues.get(queue)).toEqual(['a0', 'a1'])
})

test('a group that another process makes misses nothing from when ensureGroup has resolved', async () => {
  const { service, connection } = await start({ queueCacheMs: 300 })
  const other = await service.connect({ queueCacheMs: 300 })
  onTestFinished(() => other.close())
  await connection.publish(topic, [message('a0')])
  const made = other.ensureGroup(topic, 'late', { at: 'end' })
  await eventually(() => expect(service.queues.has('orders--late.fifo')).toBe(true))
  await made
  await connection.publish(topic, [message('a1')])
  expect(service.queues.get('orders--late.fifo')).toEqual(['a1'])
})

test('publishing goes on in full requests while answers are slow', async () => {
  const { service, connection } = await start()
  service.answer = async () => {
    await delay(20)
    return []
  }
  const texts = Array.from({ length: 400 }, (_, index) => `${index}`)
  await Promise.all(texts.map((text) => connection.publish(topic, [message(text, text)])))
  expect(service.requests.length).toBe(40)
  expect(service.queues.get(queue)!.toSorted()).toEqual(texts.toSorted())
})
