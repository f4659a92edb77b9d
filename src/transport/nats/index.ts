import type { ConnectOptions, Transport, TransportConnection } from '../port.ts'
import { openClient } from './client.ts'
import { NatsTransportConnection } from './connection.ts'
import type { NatsOptions } from './options.ts'
import { settingsOf } from './options.ts'

export type { NatsOptions } from './options.ts'

/**
 * NATS JetStream 2.9 or later, over the packages `@nats-io/transport-node` and `@nats-io/jetstream`. A topic is a stream of its name, which takes the subjects
 * `<topic>.>`; a message goes to `<topic>.<type>`. A group is a durable pull consumer: each process that subscribes gets some messages, and their order is kept while
 * one does. The server drops what is published twice with one id within `duplicateWindowMs`.
 *
 * A message can be put off for up to a day, by the clocks of publisher and consumer; it goes to `<topic>.=later.<type>`, and the topic must keep it for as long (`retentionMs`). Any number can wait, without holding up
 * others; the server keeps in memory, for each group, which they are.
 * @throws InvalidDefinitionError when times contradict each other
 */
export function nats(options: NatsOptions): Transport {
  const settings = settingsOf(options)
  return {
    name: 'nats',
    async connect(connectOptions: ConnectOptions): Promise<TransportConnection> {
      return new NatsTransportConnection(await openClient(settings, connectOptions), settings, connectOptions.environment)
    },
  }
}
