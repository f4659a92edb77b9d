import { Connection } from 'rabbitmq-client'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { rabbitmq } from '../../src/transport/rabbitmq/index.ts'
import type { Broker, RawClient } from './broker.ts'
import { inParts } from './broker.ts'

export const rabbitmqBroker: Broker = {
  name: 'RabbitMQ',
  variable: 'RABBITMQ_URL',
  messages: 20_000,
  published: 10_000,
  pipelineBar: 0.9,
  async open(url) {
    const connection = new Connection(url)
    connection.on('error', (error) => process.stderr.write(`RabbitMQ: ${String(error)}\n`))
    await connection.onConnect(10_000)
    return {
      transport: rabbitmq({ url }),
      raw: rawClient(connection),
      async remove(topic, groups) {
        for (const group of groups) await connection.queueDelete({ queue: queueOf(topic, group) })
        await connection.exchangeDelete({ exchange: topic })
      },
      [Symbol.asyncDispose]: () => connection.close(),
    }
  },
}

function rawClient(connection: Connection): RawClient {
  return {
    about: 'rabbitmq-client: 1,000 messages that wait for their confirmation; a consumer of a quorum queue with 2,000 messages ahead',
    async publish(topic, messages, pace) {
      const publisher = connection.createPublisher({ confirm: true })
      await inParts(messages, 1, 1_000, async ([message]) => {
        await publisher.send({ exchange: topic, ...envelopeOf(message!) }, Buffer.from(message!.body))
        pace.add()
      })
      await publisher.close()
    },
    async consume(topic, group, pace) {
      const options = { queue: queueOf(topic, group), queueOptions: { passive: true }, qos: { prefetchCount: 2_000 } }
      // The library parses what is JSON by its content type, and acknowledges what the callback has returned from.
      const consumer = connection.createConsumer(options, async () => pace.add())
      await pace.finished
      await consumer.close()
    },
  }
}

function queueOf(topic: string, group: string): string {
  return `${topic}.${group}`
}

function envelopeOf({ id, attributes, headers, key }: OutgoingMessage) {
  const all: Record<string, string> = { 'headwater-key': key! }
  for (const name in attributes) all[`cloudEvents:${name}`] = attributes[name]!
  return { routingKey: attributes['type']!, messageId: id, durable: true, contentType: headers['content-type']!, headers: all }
}
