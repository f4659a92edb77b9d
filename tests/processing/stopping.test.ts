import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineHandler } from '../../src/processing/handler.ts'
import type { App } from '../../src/service/app.ts'
import { defineService } from '../../src/service/service.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { kafka } from '../../src/transport/kafka/index.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import { encodeMessage } from '../../src/transport/wire.ts'
import { startForTest } from '../support/apps.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { near } from '../transport/sqs/support.ts'
import { Asked, connectTo, Done, eventOf, prepareTopic, publishAll } from './job-messages.ts'
import { doneIn, expectEach, freshFile, jobsOf, openPlace } from './killing.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

/** After so long others would get what a process held that has not given it back: longer than the test waits. */
const heldForMs = 120_000

function openPatiently(place: TransportPlace): Transport {
  const { kind, where } = place
  if (kind === 'kafka') return kafka({ brokers: where.split(','), sessionTimeoutMs: 60_000, heartbeatMs: 200 })
  if (kind === 'nats') return nats({ servers: where, ackWaitMs: heldForMs })
  if (kind === 'sqs') return sqs(near(where, { visibilityTimeoutSec: heldForMs / 1_000 }))
  return openTransport(place)
}

function scenario(place: () => TransportPlace | Promise<TransportPlace>): void {
  test('a process that stops under load gives everything back, and another goes on at once', { timeout: 120_000 }, async () => {
    const broker = await place()
    const storePlace = await freshFile()
    const store = await openPlace(storePlace)
    const connection = await connectTo(broker)
    const topic = await prepareTopic(connection, 'working.work')
    const { promise: hanging, resolve: letGo } = Promise.withResolvers<void>()
    onTestFinished(() => letGo())
    const hung: number[] = []
    const startOne = (hangs: boolean): Promise<App<never, never>> => {
      const work = defineHandler(
        'work',
        { on: Asked, emits: Done, timeoutMs: heldForMs, key: ({ data }) => data.key },
        async ({ data }, { emit }) => {
          if (hangs && data.n % 100 === 60) {
            hung.push(data.n)
            await hanging
          } else await delay(data.n % 15)
          emit(Done(data))
        },
      )
      return startForTest(defineService('working', { handlers: [work], subscribes: [topic] }), {
        storage: sqlite(storePlace.where),
        transport: openPatiently(broker),
        leaseMs: heldForMs,
      })
    }
    const jobs = jobsOf(400, 40)
    const first = await startOne(true)
    await publishAll(
      connection,
      topic.name,
      jobs.map((job) => encodeMessage(eventOf(job), topic)),
    )
    await eventually(async () => {
      expect(Object.values(await doneIn(store)).flat().length).toBeGreaterThan(100)
      expect(hung.length).toBeGreaterThan(0)
    })
    const second = await startOne(false)
    const stoppedAtMs = performance.now()
    await first.stop()
    const tookMs = performance.now() - stoppedAtMs
    await eventually(async () => expectEach(await doneIn(store), jobs))
    // What hung ends after all, and counts for nothing any more.
    letGo()
    await second.stop()
    expectEach(await doneIn(store), jobs)
    // Five seconds for those that do not listen, a second for a poll that is under way, and what a busy machine takes.
    expect(tookMs).toBeLessThan(20_000)
  })
}

describe('stopping over a log transport', () => scenario(async () => ({ kind: 'log', where: (await freshFile()).where })))
describeOnBroker('Kafka', 'stopping over Kafka', (where) => scenario(() => ({ kind: 'kafka', where })))
describeOnBroker('RabbitMQ', 'stopping over RabbitMQ', (where) => scenario(() => ({ kind: 'rabbitmq', where })))
describeOnBroker('NATS JetStream', 'stopping over NATS', (where) => scenario(() => ({ kind: 'nats', where })))
describeOnBroker('ElasticMQ', 'stopping over SQS', (where) => scenario(() => ({ kind: 'sqs', where })))
