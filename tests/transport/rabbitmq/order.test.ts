import fc from 'fast-check'
import { Connection } from 'rabbitmq-client'
import { describe, expect, onTestFinished, test } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { startTcpProxy, type TcpProxy } from '../../../src/testing/tcp-proxy.ts'
import type { Partition, ReceivedMessage, TransportConnection } from '../../../src/transport/port.ts'
import { Consumers } from '../../../src/transport/rabbitmq/consumers.ts'
import { rabbitmq, type RabbitMqOptions } from '../../../src/transport/rabbitmq/index.ts'
import { ReturnedMessages } from '../../../src/transport/rabbitmq/returned.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { removeTopic, withClient } from './recorded.ts'

describe('the consumers of a channel', () => {
  test('are named in ascending order, however many there are', () => {
    const consumers = new Consumers()
    const names = Array.from({ length: 2_000 }, () => consumers.next().name)
    expect(names.toSorted()).toEqual(names)
    expect(new Set(names).size).toBe(names.length)
  })

  test('are not followed by another one while as many hold messages as the broker can keep in order', () => {
    const consumers = new Consumers()
    for (let tag = 1; tag <= 40; tag += 2) {
      const consumer = consumers.next()
      consumers.delivered(consumer, tag)
      consumers.delivered(consumer, tag + 1)
      // The first message of each, so that each holds one.
      consumers.settled(tag)
    }
    expect(consumers.mayFollow).toBe(true)
    for (let tag = 41; tag <= 44; tag++) consumers.delivered(consumers.next(), tag)
    expect(consumers.mayFollow).toBe(false)
    consumers.settled(2)
    expect(consumers.mayFollow).toBe(true)
  })
})

describe('messages that were returned', () => {
  test('are put in their order, whoever took how many of them and died', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 20 }), (length, takes) => {
        // As a quorum queue does it: what is returned comes behind what was returned before, and before what was never given out.
        let returned: { readonly n: number; readonly returns: number }[] = []
        let next = 0
        for (const take of takes) {
          const taken = returned.splice(0, take)
          while (taken.length < take && next < length) taken.push({ n: next++, returns: 0 })
          returned = [...returned, ...taken.map(({ n, returns }) => ({ n, returns: returns + 1 }))]
        }
        const fresh = Array.from({ length: length - next }, (_, index) => ({ n: next + index, returns: 0 }))
        const order = ReturnedMessages.inOrder([...returned, ...fresh]).map(({ n }) => n)
        expect(order).toEqual(Array.from({ length }, (_, n) => n))
      }),
    )
  })
})

let topics = 0

for (const priorities of [false, true])
  describeOnBroker('RabbitMQ', `what a consumer of RabbitMQ held, with ${priorities ? 'priorities' : 'quorum queues'}`, (url) => {
    /** More than one consumer may hold, so that the next one is given later messages if it begins too soon. */
    const [sent, held] = [120, 60]

    async function connect(options: Partial<RabbitMqOptions> = {}): Promise<TransportConnection> {
      const connection = await rabbitmq({ url, priorities, ...options }).connect({
        environment: environment({ log: silentLog }),
        clientName: 'order',
      })
      onTestFinished(() => connection.close())
      return connection
    }

    async function proxied(): Promise<{ readonly proxy: TcpProxy; readonly url: string }> {
      const { hostname: host, port } = new URL(url)
      const proxy = await startTcpProxy({ host, port: Number(port) })
      onTestFinished(() => proxy.close())
      return { proxy, url: Object.assign(new URL(url), { port: proxy.port }).href }
    }

    /** What waits for a group, numbered in its order. */
    async function filled(connection: TransportConnection): Promise<string> {
      const topic = `order-${process.pid}-${Date.now().toString(36)}-${++topics}`
      await connection.ensureTopic({ name: topic })
      await connection.ensureGroup(topic, 'g', { at: 'end' })
      onTestFinished(() => removeTopic(url, topic, ['g']))
      const messages = Array.from({ length: sent }, (_, n) => ({
        id: `m${n}`,
        key: 'k',
        attributes: {},
        headers: {},
        body: Buffer.from(String(n)),
      }))
      for (const outcome of await connection.publish(topic, messages)) if (!outcome.ok) throw outcome.error
      return topic
    }

    /** Finishes nothing; a list of numbers for each run. */
    async function hold(connection: TransportConnection, topic: string): Promise<{ readonly runs: number[][]; close(): Promise<void> }> {
      const runs: number[][] = []
      const subscription = await connection.subscribe({
        topic,
        group: 'g',
        startAt: { at: 'end' },
        maxMessages: held,
        maxBytes: 1_000_000,
        isAlone: true,
        releaseTimeoutMs: 1_000,
        async run(partition: Partition) {
          const run: number[] = []
          runs.push(run)
          for await (const batch of partition.read()) run.push(...batch.map(numberOf))
        },
      })
      return { runs, close: () => subscription.close() }
    }

    async function takeAndDie(queue: string, size: number): Promise<void> {
      const client = new Connection(url)
      client.on('error', () => undefined)
      const channel = await client.acquire()
      await channel.basicQos({ prefetchCount: size })
      const { promise: taken, resolve } = Promise.withResolvers<void>()
      let count = 0
      await channel.basicConsume({ queue }, () => void (++count === size && resolve()))
      await taken
      client.unsafeDestroy()
      await withClient(url, (other) =>
        eventually(async () => expect((await other.queueDeclare({ queue, passive: true })).consumerCount).toBe(0)),
      )
    }

    const inOrder = Array.from({ length: held }, (_, n) => n)

    test('comes again in its order when its connection was lost, again and again', { timeout: 120_000 }, async () => {
      const { proxy, url: address } = await proxied()
      const topic = await filled(await connect())
      const { runs } = await hold(await connect({ url: address }), topic)
      for (let round = 0; round < 6; round++) {
        await eventually(() => expect(runs.at(-1)).toEqual(inOrder))
        const before = runs.length
        proxy.cut()
        await eventually(() => expect(runs.length).toBeGreaterThan(before))
      }
    })

    test(
      'comes in its order to one who begins after several have died, of which some held a few messages only',
      { timeout: 120_000 },
      async () => {
        const topic = await filled(await connect())
        for (const taken of [held, 5, 12, 3, held, 7]) await takeAndDie(`${topic}.g`, taken)
        const { runs } = await hold(await connect(), topic)
        await eventually(() => expect(runs).toEqual([inOrder]))
      },
    )

    test('comes in its order to one who begins when it has left', { timeout: 120_000 }, async () => {
      const connections = [await connect(), await connect()]
      const topic = await filled(connections[0]!)
      for (let round = 0; round < 20; round++) {
        const { runs, close } = await hold(connections[round % 2]!, topic)
        await eventually(() => expect(runs).toEqual([inOrder]))
        await close()
      }
    })

    test('is waited for by the next one, though the broker notices only later that the line is dead', { timeout: 120_000 }, async () => {
      const { proxy, url: address } = await proxied()
      const topic = await filled(await connect())
      const cutOff = await hold(await connect({ url: address, heartbeatSec: 1 }), topic)
      await eventually(() => expect(cutOff.runs).toEqual([inOrder]))
      proxy.blackhole()
      const { runs } = await hold(await connect({ heartbeatSec: 4 }), topic)
      await eventually(() => expect(runs).toEqual([inOrder]))
    })
  })

function numberOf({ body }: ReceivedMessage): number {
  return Number(Buffer.from(body).toString())
}
