import type { ConnectionOptions as TlsOptions } from 'node:tls'
import { InvalidDefinitionError } from '../../message/errors.ts'
import type { OutgoingMessage } from '../port.ts'

export interface RabbitMqOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps://` for TLS. */
  readonly url: string
  /** Further nodes of the cluster, `host:port`, tried in turn; those of `url` come first. */
  readonly hosts?: readonly string[]
  /** For TLS with a certificate authority or a certificate of one's own. */
  readonly tls?: TlsOptions
  /** A connection that is silent for twice as long is taken for lost; 0 turns that off. Default: 10. */
  readonly heartbeatSec?: number
  /** How long a message may wait for its confirmation, reconnecting included. Default: 30,000. */
  readonly publishTimeoutMs?: number
  /** Of a message with its headers; larger ones are refused before they are sent. Default: 16 MiB, which is the broker's own limit since 4.0. */
  readonly maxMessageBytes?: number
  /**
   * Messages are sent with their priority (`low`, `normal`, `high`), and groups get classic queues in place of quorum queues, which have had these priorities since
   * 4.3 only. Such a queue is on one node only, and gives order up between messages of different priority. A queue that is there keeps its kind. To be said
   * by those who publish and by those who consume. Default: false, and the priorities of messages are left out.
   */
  readonly priorities?: boolean
  /** Where the management plugin answers, `http://user:password@host:15672`: with it `lag` counts what other processes hold unacknowledged, too. */
  readonly managementUrl?: string
  /** What differs from the defaults, by the name of the topic. */
  readonly topics?: Readonly<Record<string, RabbitMqTopicOptions>>
}

export type ExchangeType = 'topic' | 'direct' | 'fanout' | 'headers'

export interface RabbitMqTopicOptions {
  /** Default: `'topic'`, of which a group gets everything that it does not narrow by bindings. */
  readonly exchange?: ExchangeType
  /** Default: the event's `type` attribute, or `'message'`. At most 255 bytes. */
  readonly routingKey?: (message: OutgoingMessage) => string
  /** What a group gets, by its name: that which fits one of its bindings. Default: everything. A direct exchange has no such default, each group needs its own. */
  readonly bindings?: Readonly<Record<string, readonly RabbitMqBinding[]>>
  /** A message that no queue takes is an outcome that is not ok, in place of a message that nobody gets. Default: false. */
  readonly mandatory?: boolean
  /** Added to the arguments of each queue that is made for a group, such as `{ 'x-max-length': 10_000 }`. Queues that are there are not changed. */
  readonly queueArguments?: Readonly<Record<string, string | number | boolean>>
}

/** For a topic or direct exchange a routing key (`orders.*`), for a headers exchange the headers as they are on the wire (`{ 'cloudEvents:type': 'OrderPlaced' }`). */
export interface RabbitMqBinding {
  readonly routingKey?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Whether all of the headers must be equal, or one of them. Default: `'all'`. */
  readonly match?: 'all' | 'any'
}

/** The options with their defaults. */
export interface Settings extends RabbitMqOptions {
  readonly heartbeatSec: number
  readonly publishTimeoutMs: number
  readonly maxMessageBytes: number
  readonly priorities: boolean
  readonly topics: Readonly<Record<string, RabbitMqTopicOptions>>
  /** For messages: without the password. */
  readonly address: string
}

/** @throws InvalidDefinitionError */
export function settingsOf(options: RabbitMqOptions): Settings {
  const url = parse(options.url)
  // As AMQP has it; without this the client library would send an empty name.
  if (!url.username) Object.assign(url, { username: 'guest', password: 'guest' })
  const { protocol, username, host, pathname } = url
  if (protocol !== 'amqp:' && protocol !== 'amqps:')
    throw new InvalidDefinitionError(`rabbitmq: the url must begin with amqp:// or amqps://, not ${protocol}//`)
  return {
    ...options,
    url: url.href,
    heartbeatSec: options.heartbeatSec ?? 10,
    publishTimeoutMs: options.publishTimeoutMs ?? 30_000,
    maxMessageBytes: options.maxMessageBytes ?? 16 * 1024 * 1024,
    priorities: options.priorities ?? false,
    topics: options.topics ?? {},
    address: `${protocol}//${username}@${host}${pathname}`,
  }
}

function parse(url: string): URL {
  if (!URL.canParse(url)) throw new InvalidDefinitionError('rabbitmq: the url is none; amqp://user:password@host:5672 is one')
  return new URL(url)
}
