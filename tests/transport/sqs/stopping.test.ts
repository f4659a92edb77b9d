import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { TestContext } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import type { OutgoingMessage, TransportConnection } from '../../../src/transport/port.ts'
import type { SqsOptions } from '../../../src/transport/sqs/index.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { near } from './support.ts'

const group = 'payments.charge'

// A request that has gone on for long after its consumer ended would be given what is sent next for as long.
const waitTimeSec = 20

for (const broker of ['ElasticMQ', 'fauxqs'] as const)
  describeOnBroker(broker, `a consumer of SQS that stops, on ${broker}`, (endpoint) => {
    describe.concurrent.each([{ fifo: true }, { fifo: false }])('%o', ({ fifo }) => {
      const options = { fifo, waitTimeSec, visibilityTimeoutSec: 15 }

      test('does not wait for a request that waits for messages; what that is given all the same comes soon, and in order', async (context) => {
        const topic = `stopping-${randomUUID()}`
        const publisher = await connect(context, endpoint, topic, options)
        const first = await connect(context, endpoint, topic, options)
        const idle = await subscribe(first, topic)
        const second = await connect(context, endpoint, topic, options)
        const beganMs = performance.now()
        await idle.close()
        await first.close()
        expect(performance.now() - beganMs).toBeLessThan(5_000)

        const sent = Array.from({ length: 5 }, (_, number) => String(number))
        const sentMs = performance.now()
        for (const text of sent) expect(await publisher.publish(topic, [message(text)])).toEqual([{ ok: true }])
        const { received } = await subscribe(second, topic)
        await eventually(() => expect(received.toSorted()).toEqual(sent))
        if (fifo) expect(received).toEqual(sent)
        // A third of the time for which messages are hidden otherwise.
        expect(performance.now() - sentMs).toBeLessThan(14_000)
      })

      test('gives back at once what comes after it has stopped, while its connection is there', async (context) => {
        const topic = `stopping-${randomUUID()}`
        const connection = await connect(context, endpoint, topic, { ...options, visibilityTimeoutSec: 600 })
        const idle = await subscribe(connection, topic)
        await idle.close()
        await connection.publish(topic, [message('1'), message('2')])
        const { received } = await subscribe(connection, topic)
        await eventually(() => expect(received.toSorted()).toEqual(['1', '2']))
        expect(idle.received).toEqual([])
      })
    })
  })

async function connect(
  { onTestFinished }: TestContext,
  endpoint: string,
  topic: string,
  options: Partial<SqsOptions>,
): Promise<TransportConnection> {
  const transport = sqs(near(endpoint, options))
  const connection = await transport.connect({ environment: environment({ log: silentLog }), clientName: 'stopping' })
  onTestFinished(() => connection.close())
  await connection.ensureTopic({ name: topic })
  await connection.ensureGroup(topic, group, { at: 'end' })
  return connection
}

async function subscribe(connection: TransportConnection, topic: string) {
  const received: string[] = []
  const subscription = await connection.subscribe({
    topic,
    group,
    startAt: { at: 'end' },
    maxMessages: 100,
    maxBytes: 1024 * 1024,
    releaseTimeoutMs: 500,
    async run(partition) {
      for await (const batch of partition.read()) {
        received.push(...batch.map(({ body }) => Buffer.from(body).toString()))
        await partition.acknowledge(batch)
      }
    },
  })
  return { received, close: () => subscription.close() }
}

function message(text: string): OutgoingMessage {
  return { id: randomUUID(), key: 'k', attributes: {}, headers: {}, body: Buffer.from(text) }
}
