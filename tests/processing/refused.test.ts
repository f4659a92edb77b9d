import { ListQueuesCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs'
import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { randomUUID } from 'node:crypto'
import { ConfigResourceTypes, Kafka, logLevel } from 'kafkajs'
import { expect, test } from 'vitest'
import { defineHandler } from '../../src/processing/handler.ts'
import { defineService } from '../../src/service/service.ts'
import { startForTest } from '../support/apps.ts'
import type { Broker } from '../support/brokers.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { freshSqlite } from '../support/stores.ts'
import { rawClient } from '../transport/sqs/support.ts'
import { Asked, connectTo, prepareTopic } from './job-messages.ts'
import type { TransportPlace } from './transport-places.ts'
import { openTransport } from './transport-places.ts'

const limitBytes = 5_000

/** An operator gives the topic a limit of its own. */
type Limit = (where: string, topic: string) => Promise<void>

const limitKafka: Limit = async (where, topic) => {
  const admin = new Kafka({ brokers: where.split(','), logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  const configEntries = [{ name: 'max.message.bytes', value: String(limitBytes) }]
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }] })
  await admin.disconnect()
}

const limitNats: Limit = async (where, topic) => {
  const connection = await connect({ servers: where })
  await (await jetstreamManager(connection)).streams.update(topic, { max_msg_size: limitBytes })
  await connection.close()
}

const limitSqs: Limit = async (where, topic) => {
  const client = rawClient(where)
  const { QueueUrls = [] } = await client.send(new ListQueuesCommand({ QueueNamePrefix: topic }))
  const Attributes = { MaximumMessageSize: String(limitBytes) }
  for (const QueueUrl of QueueUrls) await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes }))
  client.destroy()
}

function scenario(broker: Broker, kind: TransportPlace['kind'], limit: Limit): void {
  describeOnBroker(broker, `events that ${broker} does not take`, (where) => {
    test('are dead letters of the relay, also by a limit that is newer than it, and hold nothing up', { timeout: 120_000 }, async () => {
      const place: TransportPlace = { kind, where }
      const connection = await connectTo(place)
      const topic = await prepareTopic(connection, 'working.work')
      const publishing = await startForTest(defineService('asking', { publishes: [topic] }), {
        storage: await freshSqlite(),
        transport: openTransport(place),
      })
      const handled: number[] = []
      const work = defineHandler('work', { on: Asked }, ({ data }) => void handled.push(data.n))
      await startForTest(defineService('working', { handlers: [work], subscribes: [topic] }), {
        storage: await freshSqlite(),
        transport: openTransport(place),
      })
      const ask = (n: number, bytes = 0): Promise<unknown> =>
        publishing.store.append('asked:k', Asked({ key: 'k'.padEnd(bytes, 'k'), n, fails: 0, killsAt: 0 }))
      await ask(1)
      await eventually(() => expect(handled).toEqual([1]))
      await limit(where, topic.name)
      // Until it holds.
      await eventually(async () => {
        const message = { id: randomUUID(), key: 'other', attributes: {}, headers: {}, body: Buffer.alloc(2 * limitBytes) }
        expect(await connection.publish(topic.name, [message])).toMatchObject([{ ok: false, refused: true }])
      })
      await ask(2, 2 * limitBytes)
      await ask(3)
      await ask(4, 2 * limitBytes)
      await ask(5)
      await eventually(() => expect(handled).toEqual([1, 3, 5]))
      await eventually(async () => {
        const { documents } = await publishing.deadLetters.list({ processor: `relay:${topic.name}` })
        expect(documents.map(({ position, state }) => ({ position, state })).toSorted((a, b) => a.position - b.position)).toEqual([
          { position: 2, state: 'dead' },
          { position: 4, state: 'dead' },
        ])
        for (const { error } of documents) expect(error?.message).toMatch(/5000|5,000/)
      })
    })
  })
}

scenario('Kafka', 'kafka', limitKafka)
scenario('NATS JetStream', 'nats', limitNats)
scenario('fauxqs', 'sqs', limitSqs)
