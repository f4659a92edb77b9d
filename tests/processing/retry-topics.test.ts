import { describe, expect, test } from 'vitest'
import { defineCircuitBreaker } from '../../src/processing/circuit-breaker.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import type { WriteSet } from '../../src/storage/write-set.ts'
import { TransportUnavailableError } from '../../src/transport/errors.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { askedEvent, Done, RetryWorld } from './retry-world.ts'
import type { WorldOptions } from './retry-world.ts'

const options = { whenExhausted: 'retry-topics', retryTopics: { delaysMs: [1_000, 5_000] } } as const
const [tier1, tier2, dlq] = ['t.s.work.retry-1', 't.s.work.retry-2', 't.dlq']

describe.each(['partition', 'queue', 'group'] as const)('retry topics over a broker that orders by %s', (ordering) => {
  const open = (more: Omit<WorldOptions, 'ordering'> = {}): Promise<RetryWorld> => RetryWorld.open({ ordering, ...more })

  test('a message that fails goes through all of them, as it came, each when it is due, and ends as a dead letter', async () => {
    const world = await open()
    const app = await world.start(options, () => {
      throw new TypeError('no such account')
    })
    const came = encodeMessage(askedEvent({ key: 'a', n: 1 }), world.topic)
    const headers: Readonly<Record<string, string>> = { ...came.headers, 'x-own': 'ü', 'kafka_original-topic': 'somewhere else' }
    await world.publish({ ...came, headers })
    await world.until(async () => (await app.deadLetters.list()).documents.length > 0)

    expect(world.sent.map(({ topic }) => topic)).toEqual([tier1, tier2, dlq])
    for (const { topic, message } of world.sent) {
      const { id, key, attributes, body } = message
      expect({ id, key, attributes, body: Buffer.from(body) }).toEqual({
        id: topic === dlq ? expect.stringMatching(/^[0-9a-f-]{36}$/) : 'm1',
        key: 'a',
        attributes: came.attributes,
        body: Buffer.from(came.body),
      })
      expect(message.headers).toMatchObject({ 'x-own': 'ü', 'content-type': headers['content-type'] })
    }
    const [first, second, last] = world.calls
    expect(world.calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
    expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(1_000)
    expect(second!.atMs - first!.atMs).toBeLessThan(1_100)
    expect(last!.atMs - second!.atMs).toBeGreaterThanOrEqual(5_000)
    expect(last!.atMs - second!.atMs).toBeLessThan(5_100)
    expect(new Set(world.calls.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(1)
    expect(second!.event).toEqual({ ...first!.event, position: second!.event.position })

    const place = ordering === 'partition' ? { partition: expect.any(Number), offset: 0 } : { partition: null, offset: null }
    expect((await app.deadLetters.list()).documents).toEqual([
      expect.objectContaining({
        state: 'dead',
        key: 'asked:a',
        type: 'Asked',
        attempts: 3,
        history: [first, second, last].map((call) => ({
          at: new Date(call!.atMs).toISOString(),
          error: expect.stringContaining('no such account'),
          durationMs: 0,
        })),
        failedAt: new Date(first!.atMs).toISOString(),
        error: expect.objectContaining({ name: 'TypeError', message: expect.stringContaining('no such account') }),
        message: expect.objectContaining({ id: 'm1', data: { key: 'a', n: 1 } }),
        origin: { topic: 't', ...place, headers: { ...headers, ...came.attributes } },
      }),
    ])
    const retried = { processor: `handler:work@t${ordering === 'partition' ? `/${partitionOf(world.sentTo(tier1)[0]!)}` : ''}` }
    expect(world.metrics.value('headwater_handler_retries_total', retried)).toBe(1)
  })

  test('the headers are those that users of Spring Kafka know', async () => {
    const world = await open()
    await world.start(options, () => {
      throw new TypeError(`no such account ${'\u{1F600}'.repeat(400)}`)
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.sentTo(dlq).length > 0)
    const [{ headers }] = world.sentTo(tier1) as [OutgoingMessage]
    const { timeMs } = { timeMs: Number(headers['kafka_original-timestamp']) }
    const place = (prefix: string) => ({
      [`${prefix}original-topic`]: 't',
      [`${prefix}original-timestamp`]: String(timeMs),
      [`${prefix}original-consumer-group`]: 's.work',
      [`${prefix}exception-fqcn`]: 'TypeError',
      [`${prefix}exception-message`]: expect.stringMatching(/no such account/),
      [`${prefix}exception-stacktrace`]: expect.stringContaining('retry-topics.test.ts'),
      ...(ordering === 'partition' && {
        [`${prefix}original-partition`]: expect.stringMatching(/^[01]$/),
        [`${prefix}original-offset`]: '0',
      }),
    })
    expect(headers).toEqual({
      'content-type': 'application/json',
      ...place('kafka_'),
      'retry_topic-attempts': '2',
      'retry_topic-original-timestamp': String(timeMs),
      'retry_topic-backoff-timestamp': String(world.calls[0]!.atMs + 1_000),
      'headwater-retry': expect.stringContaining('no such account'),
    })
    expect(headers['kafka_exception-message']!.length).toBeLessThanOrEqual(500)
    expect(headers['kafka_exception-message']!.isWellFormed()).toBe(true)
    expect(world.sentTo(tier2)[0]!.headers).toMatchObject({ 'kafka_original-topic': 't', 'retry_topic-attempts': '3' })
    expect(world.sentTo(dlq)[0]!.headers).toEqual({
      'content-type': 'application/json',
      'retry_topic-attempts': '3',
      ...place('kafka_dlt-'),
    })
  })

  test('what succeeds later had its effect once, and leaves nothing behind', async () => {
    const world = await open()
    const app = await world.start(options, ({ data }, { attempt, emit }) => {
      emit(Done(data))
      if (attempt < 3) throw new Error('not yet')
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(async () => (await app.store.log()).head > 0)
    const done = await app.store.readLogPage({ after: 0, limit: 10 })
    expect(done.map(({ type, stream, causationId }) => [type, stream, causationId])).toEqual([['Done', 'work:a', 'm1']])
    expect(world.sent.map(({ topic }) => topic)).toEqual([tier1, tier2])
    expect((await app.deadLetters.list()).documents).toEqual([])
    await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
  })

  test('nobody waits for a message that failed, not even later ones of its key', async () => {
    const world = await open()
    await world.start(options, ({ data }, { attempt }) => {
      if (data.n === 1 && attempt === 1) throw new Error('not yet')
    })
    const startedMs = world.clock.now()
    await world.ask({ key: 'a', n: 1 }, { key: 'a', n: 2 }, { key: 'b', n: 3 })
    await world.until(() => world.calls.length >= 3)
    expect(world.clock.now() - startedMs).toBeLessThan(500)
    expect(new Set(world.calls.map(({ n }) => n))).toEqual(new Set([1, 2, 3]))
    await world.until(() => world.calls.length >= 4)
    expect(world.attemptsOf(1)).toEqual([1, 2])
  })

  test('those that failed at different times are each tried when they are due', async () => {
    const world = await open()
    await world.start(options, (_event, { attempt }) => {
      if (attempt === 1) throw new Error('not yet')
    })
    const keys = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const [n, key] of keys.entries()) {
      await world.ask({ key, n })
      await world.until(() => world.attemptsOf(n).length > 0)
      await world.clock.advance(130)
    }
    await world.until(() => world.calls.length === 2 * keys.length)
    for (const n of keys.keys()) {
      const [first, second] = world.calls.filter((call) => call.n === n)
      expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(1_000)
      expect(second!.atMs - first!.atMs).toBeLessThan(1_100)
    }
  })

  test.each([
    ['a permanent error', new PermanentError('never'), {}],
    [
      'one that the handler calls permanent',
      new RangeError('never'),
      { retry: { isPermanent: (error: unknown) => error instanceof RangeError } },
    ],
  ])('%s is a dead letter at once', async (_name, error, more) => {
    const world = await open()
    const app = await world.start({ ...options, ...more }, () => {
      throw error
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(async () => (await app.deadLetters.list()).documents.length > 0)
    expect(world.attemptsOf(1)).toEqual([1])
    expect(world.sent.map(({ topic }) => topic)).toEqual([dlq])
    const [letter] = (await app.deadLetters.list({ state: 'dead' })).documents
    expect(letter).toMatchObject({ attempts: 1, origin: { topic: 't' } })
  })

  test('a message that cannot be understood is put aside where it came, as without retry topics', async () => {
    const world = await open()
    const app = await world.start(options, () => {})
    await world.publish({ id: 'x', key: 'a', attributes: {}, headers: {}, body: Buffer.from('what?') })
    await world.until(async () => (await app.deadLetters.list()).documents.length > 0)
    expect(world.sent).toEqual([])
    expect((await app.deadLetters.list()).documents).toMatchObject([
      { state: 'dead', origin: { raw: Buffer.from('what?').toString('base64') } },
    ])
  })

  test('messages of others, and structured ones, are read in the retry topics as where they came', async () => {
    const world = await open({
      topic: {
        mode: 'structured',
        read: ({ headers, key, json }) => ({
          type: 'Asked',
          data: { key, n: (json() as { no: number }).no },
          ...(headers['x-id'] && { id: headers['x-id'] }),
        }),
      },
    })
    await world.start(options, () => {
      throw new Error('not yet')
    })
    const foreign = { key: 'f', attributes: {}, headers: { 'content-type': 'application/json' }, body: Buffer.from('{ "no":1}') }
    await world.publish({ ...foreign, id: 'broker-id' })
    await world.publish({ ...foreign, id: 'other', headers: { 'x-id': 'own-id' }, body: Buffer.from('{ "no":2}') })
    await world.ask({ key: 's', n: 3 })
    await world.until(() => world.sentTo(dlq).length === 3)
    for (const n of [1, 2, 3]) {
      const calls = world.calls.filter((call) => call.n === n)
      expect(calls.map(({ attempt }) => attempt)).toEqual([1, 2, 3])
      for (const { event, idempotencyKey } of calls) {
        expect(event).toEqual({ ...calls[0]!.event, position: event.position })
        expect(idempotencyKey).toBe(calls[0]!.idempotencyKey)
      }
    }
    expect(world.calls.find(({ n }) => n === 2)!.event.id).toBe('own-id')
  })

  test('a handler that was given up and still runs is waited for, while others go on', async () => {
    const world = await open()
    const released = Promise.withResolvers<void>()
    const app = await world.start({ ...options, timeoutMs: 100 }, ({ data }, { attempt }) =>
      data.n === 1 && attempt === 1 ? released.promise : undefined,
    )
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.attemptsOf(1).length === 1)
    const startedMs = world.clock.now()
    // It is told to give up after 100 ms, and left behind five seconds later.
    await world.until(() => world.clock.now() > startedMs + 10_000)
    // Some brokers give out nothing of a key while a message of it is held.
    await world.ask({ key: ordering === 'group' ? 'b' : 'a', n: 2 })
    await world.until(() => world.attemptsOf(2).length === 1)
    expect(world.sent).toEqual([])
    released.resolve()
    await world.until(() => world.attemptsOf(1).length === 2)
    expect(world.sentTo(tier1)[0]!.headers).toMatchObject({ 'kafka_exception-fqcn': 'HandlerTimeoutError' })
    await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
  })

  test('while the circuit breaker is open nothing is tried, nor sent on', async () => {
    const world = await open()
    const breaker = defineCircuitBreaker('bank', { openMs: 3_000 })
    await world.start({ ...options, breaker }, () => {
      throw new Error('the bank is closed')
    })
    await world.ask(...Array.from({ length: 8 }, (_, n) => ({ key: `k${n}`, n })))
    await world.until(() => breaker.state === 'open')
    const tried = world.calls.length
    const openedMs = world.clock.now()
    expect(tried).toBeLessThan(8)
    await world.until(() => world.clock.now() > openedMs + 2_500)
    expect(world.calls.length).toBe(tried)
    expect(world.sent.length).toBe(tried)
    await world.until(() => world.calls.length > tried)
  })

  test('while it cannot be sent on it is not finished, and nothing is lost', async () => {
    let isDown = true
    const world = await open({
      refuse: () => (isDown ? { ok: false, refused: false, error: new TransportUnavailableError('no broker') } : undefined),
    })
    const app = await world.start(options, ({ data }, { attempt }) => {
      if (data.n === 1 && attempt === 1) throw new Error('not yet')
    })
    await world.ask({ key: 'a', n: 1 }, { key: 'b', n: 2 })
    const standing = () => app.status().processors.find(({ state }) => state === 'failing')
    await world.until(() => standing() !== undefined && world.attemptsOf(1).length >= 2)
    expect(standing()!.failure).toContain('no broker')
    expect((await app.lag()).reduce((sum, { messages }) => sum + messages, 0)).toBeGreaterThanOrEqual(1)
    isDown = false
    await world.until(() => world.attemptsOf(1).includes(2))
    expect(world.sentTo(tier1)).toHaveLength(1)
    expect(world.attemptsOf(2)).toEqual([1])
    await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
    expect(app.status().processors.every(({ state }) => state === 'live')).toBe(true)
  })

  test('what is sent on twice, since the process ended before it had written that, is tried once', async () => {
    let losses = 0
    const loses = ({ inbox }: WriteSet): boolean => (inbox?.messages.some(({ id }) => id === 'm1') ?? false) && losses++ === 0
    const world = await open({
      aroundCommits: async (sets, commit) => {
        if (sets.some(loses)) throw new Error('the process ends here')
        return commit(sets)
      },
    })
    const app = await world.start(options, ({ data }, { attempt, emit }) => {
      if (attempt === 1) throw new Error('not yet')
      emit(Done(data))
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.sentTo(tier1).length === 2)
    expect(world.sentTo(tier1).map(({ id }) => id)).toEqual(['m1', 'm1'])
    await world.until(async () => (await app.store.log()).head > 0)
    await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
    expect(world.attemptsOf(1)).toEqual([1, 1, 2])
    expect((await app.store.log()).head).toBe(1)
  })

  test('what was sent on unconfirmed, and then succeeded where it came, has its effect in the store once', async () => {
    let confirmations = 0
    const world = await open({
      confirms: async () => {
        if (confirmations++ === 0) throw new TransportUnavailableError('no answer')
      },
    })
    const app = await world.start(options, ({ data }, { emit }) => {
      if (world.calls.length === 1) throw new Error('not yet')
      emit(Done(data))
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.calls.length === 3)
    expect(world.attemptsOf(1)).toEqual([1, 1, 2])
    await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
    expect((await app.store.log()).head).toBe(1)
    expect((await app.deadLetters.list()).documents).toEqual([])
  })

  test('what the broker will never take is a dead letter at once', async () => {
    const world = await open({
      refuse: (topic) => (topic === tier2 || topic === dlq ? { ok: false, refused: true, error: new Error('too large') } : undefined),
    })
    const app = await world.start(options, () => {
      throw new Error('not yet')
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(async () => (await app.deadLetters.list()).documents.length > 0)
    expect((await app.deadLetters.list()).documents).toMatchObject([{ state: 'dead', attempts: 2, origin: { topic: 't' } }])
    expect(world.attemptsOf(1)).toEqual([1, 2])
  })

  test('a broker that can put messages off does as much of the waiting as it can', async () => {
    const world = await open({ maxDelayMs: 2_000 })
    await world.start(options, () => {
      throw new Error('not yet')
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.calls.length === 3)
    expect([tier1, tier2].flatMap((topic) => world.sentTo(topic)).map(({ delayMs }) => delayMs)).toEqual([1_000, 2_000])
    const [first, second, last] = world.calls
    expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(1_000)
    expect(last!.atMs - second!.atMs).toBeGreaterThanOrEqual(5_000)
    expect(last!.atMs - second!.atMs).toBeLessThan(5_100)
  })

  test('a service that stops does not wait for what is not due, which is tried after its next start', async () => {
    const world = await open()
    const fails = (_event: unknown, { attempt }: { readonly attempt: number }): void => {
      if (attempt === 1) throw new Error('not yet')
    }
    const app = await world.start(options, fails)
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.sentTo(tier1).length === 1)
    const failedMs = world.clock.now()
    let hasStopped = false
    void app.stop().then(() => (hasStopped = true))
    await world.until(() => hasStopped, 1)
    expect(world.clock.now() - failedMs).toBeLessThan(500)
    await world.start(options, fails)
    await world.until(() => world.calls.length === 2)
    expect(world.attemptsOf(1)).toEqual([1, 2])
    expect(world.calls[1]!.atMs - world.calls[0]!.atMs).toBeGreaterThanOrEqual(1_000)
    expect(world.calls[1]!.atMs - world.calls[0]!.atMs).toBeLessThan(2_100)
  })

  test('a service that stops lets the broker confirm what is being sent on, for so long', async () => {
    const slow = Promise.withResolvers<void>()
    let isDeaf = false
    const world = await open({ confirms: () => (isDeaf ? new Promise(() => {}) : slow.promise) })
    const fails = (_event: unknown, { attempt }: { readonly attempt: number }): void => {
      if (attempt === 1) throw new Error('not yet')
    }
    const stopAfter = async (app: { stop(): Promise<void> }, ready: () => void): Promise<number> => {
      const stoppingMs = world.clock.now()
      let hasStopped = false
      void app.stop().then(() => (hasStopped = true))
      await world.settle()
      expect(hasStopped).toBe(false)
      ready()
      await world.until(() => hasStopped)
      return world.clock.now() - stoppingMs
    }
    const first = await world.start(options, fails)
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.sentTo(tier1).length === 1)
    expect(await stopAfter(first, () => slow.resolve())).toBeLessThan(1_000)

    isDeaf = true
    const second = await world.start(options, fails)
    await world.until(() => world.attemptsOf(1).length === 2)
    expect(world.attemptsOf(1)).toEqual([1, 2])
    await world.ask({ key: 'a', n: 2 })
    await world.until(() => world.sentTo(tier1).length === 2)
    const tookMs = await stopAfter(second, () => {})
    expect(tookMs).toBeGreaterThanOrEqual(5_000)
    expect(tookMs).toBeLessThan(5_500)

    isDeaf = false
    await world.start(options, fails)
    // It was there, and comes twice.
    await world.until(() => world.attemptsOf(2).includes(2))
    expect(world.attemptsOf(2)).toEqual(expect.arrayContaining([1, 1, 2]))
    expect(world.attemptsOf(2)).toHaveLength(3)
  })

  test('a due time that somebody made up keeps nobody waiting longer than the delay', async () => {
    const world = await open()
    await world.start(options, (_event, { attempt }) => {
      if (attempt === 1) throw new Error('not yet')
    })
    const message = encodeMessage(askedEvent({ key: 'a', n: 1 }), world.topic)
    const headers = {
      ...message.headers,
      'kafka_original-topic': 't',
      'headwater-retry': '{"history":[]}',
      'retry_topic-backoff-timestamp': '9999999999999',
    }
    await world.publishTo(tier1, { ...message, headers })
    const startedMs = world.clock.now()
    await world.until(() => world.calls.length === 1)
    expect(world.clock.now() - startedMs).toBeLessThan(1_100)
    expect(world.attemptsOf(1)).toEqual([2])
  })

  test('an operator tries a dead letter again, from the store', async () => {
    let isBroken = true
    const world = await open()
    const app = await world.start(options, ({ data }, { emit }) => {
      if (isBroken) throw new Error('not yet')
      emit(Done(data))
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(async () => (await app.deadLetters.list()).documents.length > 0)
    const [letter] = (await app.deadLetters.list()).documents
    const retry = async (): Promise<string | null> => {
      let outcome: string | null | undefined
      void app.deadLetters.retry(letter!.id, { by: 'ada' }).then((action) => (outcome = action.outcome))
      await world.until(() => outcome !== undefined)
      return outcome!
    }
    expect(await retry()).toBe('failed')
    expect((await app.deadLetters.list()).documents).toMatchObject([
      { id: letter!.id, state: 'dead', attempts: 4, history: Array.from({ length: 4 }, () => ({})) },
    ])
    expect(world.sent.map(({ topic }) => topic)).toEqual([tier1, tier2, dlq])
    isBroken = false
    expect(await retry()).toBe('succeeded')
    expect(world.attemptsOf(1)).toEqual([1, 2, 3, 4, 5])
    expect((await app.deadLetters.list()).documents).toEqual([])
    expect((await app.store.log()).head).toBe(1)
  })

  test('the lag has the retry topics, and not the dead letters', async () => {
    const world = await open()
    const app = await world.start(options, () => {
      throw new Error('not yet')
    })
    await world.ask({ key: 'a', n: 1 })
    await world.until(() => world.sentTo(tier1).length === 1)
    await world.settle()
    const lag = await app.lag()
    expect(new Set(lag.map(({ topic }) => topic))).toEqual(new Set(['t', tier1, tier2]))
    const of = (topic: string) => lag.filter((one) => one.topic === topic).reduce((sum, { messages }) => sum + messages, 0)
    expect([of('t'), of(tier1), of(tier2)]).toEqual([0, 1, 0])
    expect(lag.find(({ topic }) => topic === tier1)!.processor).toBe(`handler:work@${tier1}`)
  })
})

test('in a replay, what fails again is tried again in the retry topics too', async () => {
  const world = await RetryWorld.open({ ordering: 'partition' })
  let goal = 0
  const app = await world.start(options, (_event, { attempt }) => {
    if (attempt < 3) throw new Error('not yet')
    goal++
  })
  await world.ask({ key: 'a', n: 1 })
  await world.until(() => goal === 1)
  await world.until(async () => (await app.lag()).every(({ messages }) => messages === 0))
  let isReset = false
  void app.reset('work', 'beginning', { by: 'ada', replay: true }).then(() => (isReset = true))
  await world.until(() => isReset)
  await world.until(() => goal === 2)
  expect(world.attemptsOf(1)).toEqual([1, 2, 3, 1, 2, 3])
})

/** In the model of a broker with partitions. */
function partitionOf({ headers }: OutgoingMessage): string {
  return headers['kafka_original-partition']!
}
