import type { JetStreamClient } from '@nats-io/jetstream'
import { jetstream, jetstreamManager } from '@nats-io/jetstream'
import { connect, headers } from '@nats-io/transport-node'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Broker, RawClient } from './broker.ts'
import { inParts } from './broker.ts'

export const natsBroker: Broker = {
  name: 'NATS JetStream',
  variable: 'NATS_URL',
  messages: 40_000,
  published: 20_000,
  pipelineBar: 0.9,
  async open(servers) {
    const connection = await connect({ servers })
    const manager = await jetstreamManager(connection)
    return {
      transport: nats({ servers }),
      raw: rawClient(jetstream(connection)),
      async remove(topic) {
        await manager.streams.delete(topic)
      },
      [Symbol.asyncDispose]: () => connection.close(),
    }
  },
}

function rawClient(client: JetStreamClient): RawClient {
  return {
    about: '@nats-io/jetstream: 2,048 messages that wait for their confirmation; a durable pull consumer with 2,000 messages ahead',
    async publish(topic, messages, pace) {
      await inParts(messages, 1, 2_048, async ([message]) => {
        const { id, attributes, body } = message!
        await client.publish(`${topic}.${attributes['type']}`, body, { msgID: id, headers: headersOf(message!), timeout: 30_000 })
        pace.add()
      })
    },
    async consume(topic, group, pace) {
      const consumer = await client.consumers.get(topic, group)
      const messages = await consumer.consume({ max_messages: 2_000 })
      for await (const message of messages) {
        message.json()
        message.ack()
        pace.add()
        if (pace.isOver) break
      }
      await messages.close()
    },
  }
}

function headersOf({ attributes, headers: others, key }: OutgoingMessage) {
  const all = headers()
  all.set('headwater-key', key!)
  for (const name in attributes) all.set(`ce-${name}`, encodeURIComponent(attributes[name]!))
  for (const name in others) all.set(name, others[name]!)
  return all
}
