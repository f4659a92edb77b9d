import { Admin, Consumer, ProduceAcks, Producer } from '@platformatic/kafka'
import { kafka } from '../../src/transport/kafka/index.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import type { Broker, RawClient } from './broker.ts'
import { inParts } from './broker.ts'

export const kafkaBroker: Broker = {
  name: 'Kafka',
  variable: 'KAFKA_BROKERS',
  messages: 200_000,
  published: 50_000,
  partitions: 12,
  fetchesFar: true,
  pipelineBar: 0.7,
  async open(brokers) {
    const client = { clientId: 'benchmark', bootstrapBrokers: brokers.split(',') }
    const producer = new Producer({ ...client, idempotent: true })
    return {
      transport: kafka({ brokers }),
      raw: rawClient(client, producer),
      async remove(topic) {
        const admin = new Admin(client)
        await admin.deleteTopics({ topics: [topic] }).catch(() => undefined)
        await admin.close()
      },
      [Symbol.asyncDispose]: () => producer.close(true),
    }
  },
}

type Client = { readonly clientId: string; readonly bootstrapBrokers: string[] }

function rawClient(client: Client, producer: Producer): RawClient {
  return {
    about: '@platformatic/kafka: an idempotent producer, 1,000 messages a call, four calls under way; a stream that commits once a second',
    async publish(topic, messages, pace) {
      await inParts(messages, 1_000, 4, async (part) => {
        await producer.send({ acks: ProduceAcks.ALL, messages: part.map((message) => recordOf(topic, message)) })
        pace.add(part.length)
      })
    },
    async consume(topic, group, pace) {
      const consumer = new Consumer({ ...client, groupId: group })
      const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit: 1_000 })
      for await (const { value } of stream) {
        JSON.parse(value.toString())
        pace.add()
        if (pace.isOver) break
      }
      await stream.close()
      await consumer.close(true)
    },
  }
}

function recordOf(topic: string, { key, attributes, headers, body }: OutgoingMessage) {
  const all = new Map<Buffer, Buffer>()
  for (const name in attributes) all.set(Buffer.from(`ce_${name}`), Buffer.from(attributes[name]!))
  for (const name in headers) all.set(Buffer.from(name), Buffer.from(headers[name]!))
  return { topic, key: Buffer.from(key!), value: Buffer.from(body), headers: all }
}
