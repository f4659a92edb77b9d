import { UnsupportedBrokerError } from '../errors.ts'
import type { Transport, TransportConnection } from '../port.ts'
import { RabbitMqConnection, type Subscriptions } from './connection.ts'
import { greet, type Broker } from './handshake.ts'
import { importClient, Link } from './link.ts'
import { settingsOf, type RabbitMqOptions } from './options.ts'

export type { ExchangeType, RabbitMqBinding, RabbitMqOptions, RabbitMqTopicOptions } from './options.ts'

/**
 * RabbitMQ 3.10 or later, by the package `rabbitmq-client`.
 *
 * A topic is a durable exchange of its name; a group is a quorum queue `<topic>.<group>` that is bound to it. The exchange keeps nothing: what is published
 * while no group is there is confirmed and gone, so each group is to be made (`ensureGroup`) before the first message that it must not miss. Messages
 * are CloudEvents of the protocol binding for AMQP. A message is confirmed when a majority of each queue's replicas have written it to disk. One with a
 * delay waits in a queue `<topic>@delayed-<ms>ms`, for up to a day.
 *
 * What the broker does, and no client can help:
 * - Deliveries that are not acknowledged within its consumer timeout (30 minutes by default) go back to the queue, whatever is being done with them;
 *   the partition is revoked then.
 * - A queue that refuses messages because it is full (`x-overflow`) may take a later one of a key before an earlier one that it refused.
 * - A consumer whose host died, or whose line broke silently, holds its messages until the broker misses its heartbeats. Who consumes alone waits for that, three
 *   times `heartbeatSec` at most, since it would be given later messages first.
 * - A quorum queue that was made less than three seconds before its only node is killed is lost with its messages (seen with 3.10.8, 4.0.5 and 4.3.6).
 * @throws InvalidDefinitionError
 */
export function rabbitmq(options: RabbitMqOptions): Transport {
  const settings = settingsOf(options)
  const subscriptions: Subscriptions = new Set()
  return {
    name: 'rabbitmq',
    async connect({ environment, clientName }): Promise<TransportConnection> {
      const client = await importClient()
      const broker = await greet(settings)
      checkVersion(broker)
      const linkOptions = { maxFrameBytes: broker.maxFrameBytes, environment }
      const publishing = await Link.open(client, settings, { ...linkOptions, name: `${clientName}, publishing` })
      try {
        const consuming = await Link.open(client, settings, { ...linkOptions, name: `${clientName}, consuming` })
        return new RabbitMqConnection(settings, broker, { publishing, consuming }, subscriptions, environment)
      } catch (error) {
        await publishing.close()
        throw error
      }
    },
  }
}

/** Quorum queues are fit for use since 3.10: before, their messages were all in memory and one that was requeued for ever grew the log. */
function checkVersion({ product, version }: Broker): void {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (product === 'RabbitMQ' && (major > 3 || (major === 3 && minor >= 10))) return
  throw new UnsupportedBrokerError(`RabbitMQ 3.10 or later is needed; the server is ${product} ${version}`)
}
