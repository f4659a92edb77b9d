import { describe, expect, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import { ResetRefusedError } from '../../src/processing/errors.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import { PermanentError } from '../../src/processing/retry.ts'
import type { StartPosition } from '../../src/processing/start-position.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import type { StartOptions } from '../../src/service/start.ts'
import type { Storage } from '../../src/storage/port.ts'
import { UnsupportedByTransportError } from '../../src/transport/errors.ts'
import { kafka } from '../../src/transport/kafka/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { rabbitmq } from '../../src/transport/rabbitmq/index.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { MemoryBroker } from '../conformance/memory-transport.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnEveryStore, freshSqlite } from '../support/stores.ts'

const data = jsonSchema<{ key: string; n: number }>({ type: 'object', required: ['key', 'n'] })
const Placed = defineEvent('Placed', data)
const Booked = defineEvent('Booked', data)
const by = 'ada'

type App = Awaited<ReturnType<typeof startForTest>>
const place = (app: App, ...numbers: readonly number[]) =>
  app.store.appendAll(numbers.map((n) => ({ stream: `order:${n % 3}`, events: Placed({ key: `${n % 3}`, n }) })))
const booked = async ({ store }: App): Promise<number[]> => {
  const numbers: number[] = []
  for await (const event of store.readLog({ types: ['Booked'] })) numbers.push((event.data as { n: number }).n)
  return numbers
}
const ascending = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)
/** In the order of each key, whatever came between. */
const inOrder = (numbers: readonly number[]) => [0, 1, 2].map((key) => numbers.filter((n) => n % 3 === key))

/** What a handler has been called with. */
function handlerFor(options: { readonly shards?: number; readonly startAt?: StartPosition } = {}, check: (n: number) => void = () => {}) {
  const handled: number[] = []
  const book = defineHandler('book', { on: Placed, emits: Booked, ...options }, ({ data: placed }, { emit }) => {
    check(placed.n)
    handled.push(placed.n)
    emit(Booked(placed))
  })
  return { book, handled }
}

describeOnEveryStore('resetting a handler of the log', (fresh) => {
  for (const shards of [1, 3])
    test(`it goes back while it runs, by itself, and what it emitted is there once (${shards} shards)`, async () => {
      const { book, handled } = handlerFor({ shards })
      const app = await startForTest(defineService('shop', { handlers: [book] }), { storage: await fresh() })
      await place(app, 0, 1, 2, 3, 4, 5)
      await eventually(async () => expect(ascending(await booked(app))).toEqual([0, 1, 2, 3, 4, 5]))
      const { head } = await app.store.log()

      await expect(app.reset(book, 'beginning', { by })).rejects.toThrow(/from 0 on it would handle them again/)
      const { places } = await app.reset(book, 'beginning', { by, replay: true, reason: 'the mails were not sent' })
      expect(places.map(({ to, behind }) => ({ to, behind }))).toEqual(Array.from({ length: shards }, () => ({ to: 0, behind: head })))
      await eventually(() => expect(handled).toHaveLength(12))
      expect(inOrder(handled)).toEqual([
        [0, 3, 0, 3],
        [1, 4, 1, 4],
        [2, 5, 2, 5],
      ])
      await place(app, 6)
      await eventually(async () => expect(ascending(await booked(app))).toEqual([0, 1, 2, 3, 4, 5, 6]))
      expect(handled).toHaveLength(13)
      const [record] = await app.deadLetters.actions()
      expect(record).toMatchObject({
        kind: 'reset',
        processor: 'handler:book',
        by: 'ada',
        reason: 'the mails were not sent',
        state: 'done',
      })
    })

  test('one that has never run begins where it was put, and can be put forward, to a position or a time', async () => {
    const { book, handled } = handlerFor()
    const service = defineService('shop', { handlers: [book] })
    const storage = await fresh()
    const idle = await startForTest(service, { storage, run: [] })
    await place(idle, 0, 1, 2)
    expect((await idle.reset('book', 'now', { by })).places).toEqual([{ processor: 'handler:book', from: undefined, to: 3, behind: 0 }])
    await place(idle, 3)
    const first = await startForTest(service, { storage })
    await eventually(async () => expect(await booked(first)).toEqual([3]))
    await first.stop()

    const [oldest] = await idle.store.readLogPage({ after: 0, limit: 1 })
    await idle.reset('book', { time: oldest!.time }, { by, replay: true })
    expect((await idle.reset('book', { after: 2 }, { by })).places).toEqual([{ processor: 'handler:book', from: 0, to: 2, behind: 3 }])
    const app = await startForTest(service, { storage })
    await place(app, 4)
    await eventually(async () => expect(ascending(await booked(app))).toEqual([2, 3, 4]))
    expect(ascending(handled)).toEqual([2, 3, 3, 4])
  })

  test('is refused while messages are held back, changes nothing then, and the handler goes on', async () => {
    const { book, handled } = handlerFor({}, (n) => {
      if (n === 1) throw new PermanentError('not this one')
    })
    const app = await startForTest(defineService('shop', { handlers: [book] }), { storage: await fresh() })
    await place(app, 0, 1, 2, 4)
    await eventually(async () => expect((await app.deadLetters.list()).documents).toHaveLength(2))
    const refused = app.reset(book, 'beginning', { by, replay: true })
    await expect(refused).rejects.toThrow(ResetRefusedError)
    await expect(refused).rejects.toThrow('handler:book holds messages back (2, the first is handler:book@2)')
    await place(app, 3)
    await eventually(async () => expect(await booked(app)).toEqual([0, 2, 3]))
    expect(handled).toEqual([0, 2, 3])

    await app.deadLetters.discard('handler:book@2', { by })
    await eventually(async () => expect(await booked(app)).toEqual([0, 2, 3, 4]))
    await app.reset(book, { after: 3 }, { by, replay: true })
    await eventually(() => expect(ascending(handled)).toEqual([0, 2, 3, 3, 4, 4]))
  })

  test('refuses what is not there', async () => {
    const app = await startForTest(defineService('shop', { handlers: [handlerFor().book] }), { storage: await fresh() })
    await expect(app.reset('other', 'beginning', { by })).rejects.toThrow('the service shop has no handler other; it has: book')
    await expect(app.reset('book', { after: 5 }, { by })).rejects.toThrow('there is no position 5: the log ends at 0')
    await expect(app.reset('book', 'now', { by, topic: 'orders' })).rejects.toThrow('book gets nothing from a topic orders')
  })
})

let topics = 0

/** A service that publishes, and one that books what it gets from it. */
async function world(transport: Transport, startAt?: StartPosition, check?: (n: number) => void) {
  const topic = defineTopic(`reset-${process.pid}-${Date.now().toString(36)}-${++topics}`, { events: [Placed], partitions: 1 })
  const { book, handled } = handlerFor(startAt === undefined ? {} : { startAt }, check)
  const orders = await startForTest(defineService('orders', { publishes: [topic] }), { storage: await freshSqlite(), transport })
  const payments = defineService('payments', { handlers: [book], subscribes: [topic] })
  const storage: Storage = await freshSqlite()
  const start = (options: Partial<StartOptions> = {}) => startForTest(payments, { storage, transport, ...options })
  /** Published, not only in the log. */
  const publish = async (...numbers: readonly number[]) => {
    await place(orders, ...numbers)
    const { head } = await orders.store.log()
    await eventually(() => expect(orders.status().processors.find(({ processor }) => processor.startsWith('relay:'))?.position).toBe(head))
  }
  return { handled, publish, start, topic }
}

function startsOnce(freshTransport: () => Promise<Transport> | Transport): void {
  test(
    'a consumer that began at now and ended before its first message loses nothing of what came since',
    { timeout: 120_000 },
    async () => {
      const { handled, publish, start } = await world(await freshTransport(), 'now')
      await publish(0, 1)
      const first = await start()
      await eventually(async () => expect((await first.lag()).map(({ messages }) => messages)).toEqual([0]))
      await first.stop()
      await publish(2, 3)
      const app = await start()
      await publish(4)
      await eventually(async () => expect(ascending(await booked(app))).toEqual([2, 3, 4]), 40_000)
      expect(ascending(handled)).toEqual([2, 3, 4])
    },
  )
}

function resetOverPartitions(freshTransport: () => Promise<Transport> | Transport): void {
  startsOnce(freshTransport)

  test(
    'it goes back by itself: without a replay it leaves out what it knows, with one it handles everything again',
    { timeout: 120_000 },
    async () => {
      const { handled, publish, start, topic } = await world(await freshTransport())
      const app = await start()
      await publish(0, 1, 2)
      await eventually(async () => expect(ascending(await booked(app))).toEqual([0, 1, 2]), 40_000)
      const { places } = await app.reset('book', 'beginning', { by })
      expect(places.map(({ processor, behind }) => ({ processor, behind }))).toEqual([
        { processor: `handler:book@${topic.name}/0`, behind: 3 },
      ])
      await publish(3)
      await eventually(async () => expect(ascending(await booked(app))).toEqual([0, 1, 2, 3]), 40_000)
      // It stands behind all others: they were passed, and left out. It may have been under way when the place changed.
      expect(ascending(handled.filter((n) => n < 3))).toEqual([0, 1, 2])

      handled.length = 0
      await app.reset('book', 'beginning', { by, replay: true })
      await eventually(() => expect(ascending(handled)).toEqual([0, 1, 2, 3]), 40_000)
      await publish(4)
      await eventually(async () => expect(ascending(await booked(app))).toEqual([0, 1, 2, 3, 4]), 40_000)
    },
  )

  test('it goes forward: what is between is left out', { timeout: 120_000 }, async () => {
    const { handled, publish, start } = await world(await freshTransport())
    const idle = await start({ run: [] })
    await publish(0, 1)
    await idle.reset('book', 'now', { by })
    await publish(2)
    const app = await start()
    await eventually(async () => expect(await booked(app)).toEqual([2]), 40_000)
    expect(handled).toEqual([2])
    await expect(idle.reset('book', { after: 1 }, { by })).rejects.toThrow(/a topic has no position/)
  })
}

function resetOverAQueue(freshTransport: () => Promise<Transport> | Transport): void {
  test('is refused while somebody consumes, and puts the group elsewhere when nobody does', { timeout: 120_000 }, async () => {
    const { handled, publish, start } = await world(await freshTransport())
    const app = await start()
    await publish(0, 1, 2)
    await eventually(async () => expect(ascending(await booked(app))).toEqual([0, 1, 2]), 40_000)
    await expect(app.reset('book', 'beginning', { by, replay: true })).rejects.toThrow(/is running, and its broker cannot take from it/)
    await app.stop()
    const idle = await start({ run: [] })
    expect((await idle.reset('book', 'beginning', { by })).places).toMatchObject([{ to: undefined, behind: 3 }])
    const again = await start()
    await publish(3)
    await eventually(async () => expect(ascending(await booked(again))).toEqual([0, 1, 2, 3]), 40_000)
    expect(ascending(handled)).toEqual([0, 1, 2, 3])
    await again.stop()
    await idle.reset('book', 'beginning', { by, replay: true })
    await start()
    await eventually(() => expect(ascending(handled)).toEqual([0, 0, 1, 1, 2, 2, 3, 3]), 40_000)
  })
}

function refusesOver(freshTransport: () => Promise<Transport> | Transport): void {
  test('a transport without history says so, also while somebody consumes', { timeout: 120_000 }, async () => {
    const { start } = await world(await freshTransport())
    const app = await start()
    for (const to of ['beginning', 'now', { time: new Date() }] as const)
      await expect(app.reset('book', to, { by })).rejects.toThrow(UnsupportedByTransportError)
  })
}

describe('where a new handler of a topic begins', () => {
  const handled: string[] = []
  const watch = defineHandler('watch', { on: Placed, startAt: 'now' }, ({ data: { key, n } }) => void handled.push(`${key} ${n}`))

  /** A topic of two partitions in which something was published before the handler was there, and then again. */
  async function started(missing: string) {
    handled.length = 0
    const transport = new MemoryBroker({ ordering: 'partition' })
    const topic = defineTopic('two-partitions', { events: [Placed], partitions: 2 })
    const storage = await freshSqlite()
    const service = defineService('watching', { handlers: [watch], publishes: [topic], subscribes: [topic] })
    const app = await startForTest(service, { storage, transport, run: ['relays'] })
    const publish = async (n: number) => {
      await app.store.appendAll(['a', 'b'].map((key) => ({ stream: `order:${key}`, events: Placed({ key, n }) })))
      const { head } = await app.store.log()
      await eventually(() => expect(app.status().processors.find(({ processor }) => processor.startsWith('relay:'))?.position).toBe(head))
    }
    await publish(1)
    await (await startForTest(service, { storage, transport, run: ['handlers'] })).stop()
    await app.store.driver.processors.remove(`handler:watch@two-partitions/${missing}`)
    await publish(2)
    await startForTest(service, { storage, transport, run: ['handlers'] })
    await publish(3)
    await eventually(() => expect(handled).toEqual(expect.arrayContaining(['a 3', 'b 3'])))
    return handled.toSorted()
  }

  test('in a partition that was added since, at its beginning', async () => {
    // Either key has a partition of its own.
    expect(await started('1')).toEqual(['a 2', 'a 3', 'b 1', 'b 2', 'b 3'])
  })

  test('when its first start broke off before partition 0 was written, where it then begins', async () => {
    expect(await started('0')).toEqual(['a 3', 'b 2', 'b 3'])
  })
})

describe('resetting a handler of a topic that holds messages back', () => {
  test.each(['partition', 'queue'] as const)('is refused until they are dealt with (%s)', async (ordering) => {
    let isBroken = true
    const { handled, publish, start, topic } = await world(new MemoryBroker({ ordering, keepsHistory: true }), 'beginning', (n) => {
      if (isBroken && n === 1) throw new PermanentError('not this one')
    })
    const app = await start()
    await publish(0, 1, 2, 4)
    await eventually(async () => expect((await app.deadLetters.list()).documents).toHaveLength(2))
    await app.stop()
    const idle = await start({ run: [] })
    for (const to of ['beginning', 'now'] as const)
      await expect(idle.reset('book', to, { by, replay: true })).rejects.toThrow('holds messages back (2')
    isBroken = false
    const again = await start()
    const [parked] = (await again.deadLetters.list({ state: 'parked' })).documents
    expect(parked?.processor).toBe(`handler:book@${topic.name}${ordering === 'partition' ? '/0' : ''}`)
    await again.deadLetters.retry(parked!.id, { by })
    await eventually(async () => expect(ascending(await booked(again))).toEqual([0, 1, 2, 4]))
    await again.stop()
    handled.length = 0
    await idle.reset('book', 'beginning', { by, replay: true })
    const last = await start()
    await eventually(() => expect(inOrder(handled)).toEqual([[0], [1, 4], [2]]))
    expect((await last.deadLetters.list()).documents).toEqual([])
  })
})

describe('resetting a handler of several topics and of the log', () => {
  test('moves all of its checkpoints or none, whenever it fails', async () => {
    const [Paid, Shipped] = [defineEvent('Paid', data), defineEvent('Shipped', data)]
    const both = [defineTopic('placed', { events: [Placed], partitions: 2 }), defineTopic('paid', { events: [Paid], partitions: 2 })]
    const follow = defineHandler('follow', { on: [Placed, Paid, Shipped] }, () => {})
    const service = defineService('shop', { handlers: [follow], publishes: both, subscribes: both })
    const storage = await freshSqlite()
    const transport = new MemoryBroker({ ordering: 'partition' })
    const running = await startForTest(service, { storage, transport })
    await running.store.appendAll(
      ['a', 'b'].flatMap((key) =>
        [Placed, Paid, Shipped].map((definition) => ({ stream: `${definition.type}:${key}`, events: definition({ key, n: 1 }) })),
      ),
    )
    const places = async () => {
      const known = await running.store.driver.processors.list()
      return known.filter(({ processor }) => processor.startsWith('handler:')).map(({ processor, position }) => `${processor} ${position}`)
    }
    const handled = [
      'handler:follow 6',
      ...['paid', 'placed'].flatMap((topic) => [0, 1].map((partition) => `handler:follow@${topic}/${partition} 1`)),
    ]
    await eventually(async () => expect(await places()).toEqual(handled))
    await running.stop()
    const app = await startForTest(service, { storage, transport, run: [] })
    const listed = async () => (await app.store.driver.processors.list()).map(({ processor, position }) => `${processor} ${position}`)
    const before = await listed()
    const { processors } = app.store.driver
    const reset = processors.reset.bind(processors)
    for (const failsAt of ['handler:follow@placed/0', 'handler:follow@placed/1', 'handler:follow@paid/1', 'handler:follow']) {
      processors.reset = async (...resets) => {
        if (resets.some(({ processor }) => processor === failsAt)) throw new Error('the store is gone')
        await reset(...resets)
      }
      await expect(app.reset('follow', 'beginning', { by, replay: true })).rejects.toThrow('the store is gone')
      expect(await listed()).toEqual(before)
    }
    processors.reset = reset
    await app.reset('follow', 'beginning', { by, replay: true })
    const moved = await listed()
    expect(moved).not.toEqual(before)
    expect(moved.filter((line) => line.startsWith('handler:') && before.includes(line))).toEqual([])
  })
})

describe('resetting a handler of a topic: partitions of a model', () =>
  resetOverPartitions(() => new MemoryBroker({ ordering: 'partition' })))
describe('resetting a handler of a topic: the log transport', () => resetOverPartitions(async () => log(await freshSqlite())))
describeOnBroker('Kafka', 'resetting a handler of a topic: Kafka', (brokers) => resetOverPartitions(() => kafka({ brokers })))
describe('resetting a handler of a topic: a queue of a model with history', () =>
  resetOverAQueue(() => new MemoryBroker({ keepsHistory: true })))
describeOnBroker('NATS JetStream', 'resetting a handler of a topic: NATS', (servers) =>
  resetOverAQueue(() => nats({ servers, ackWaitMs: 2_000 })),
)
describe('resetting a handler of a topic: a queue of a model without history', () => refusesOver(() => new MemoryBroker()))
describeOnBroker('RabbitMQ', 'resetting a handler of a topic: RabbitMQ', (url) => refusesOver(() => rabbitmq({ url })))
