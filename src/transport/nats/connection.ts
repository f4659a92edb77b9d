import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { publishDelayable } from '../delays.ts'
import { TransportClosedError } from '../errors.ts'
import type {
  GroupPlace,
  OutgoingMessage,
  PartitionLag,
  PublishOutcome,
  StartAt,
  Subscription,
  SubscriptionOptions,
  TopicSpec,
  TransportCapabilities,
  TransportConnection,
} from '../port.ts'
import type { Client } from './client.ts'
import { ensureGroup, lagOf, resetGroup } from './group.ts'
import type { Settings } from './options.ts'
import { maxDelayMs } from './postponed.ts'
import { Publisher } from './publisher.ts'
import { Reader } from './reader.ts'
import { NatsSubscription } from './subscription.ts'
import { ensureTopic } from './topic.ts'

export class NatsTransportConnection implements TransportConnection {
  readonly capabilities: TransportCapabilities
  readonly #client: Client
  readonly #settings: Settings
  readonly #environment: Environment
  readonly #publisher: Publisher
  readonly #subscriptions = new Set<NatsSubscription>()
  #closing: Promise<void> | undefined

  constructor(client: Client, settings: Settings, environment: Environment) {
    this.#client = client
    this.#settings = settings
    this.#environment = environment
    this.#publisher = new Publisher(client, environment, settings.publishTimeoutMs)
    this.capabilities = {
      name: 'nats',
      ordering: 'queue',
      startAt: ['beginning', 'end', 'time'],
      maxMessageBytes: client.maxPayloadBytes,
      deduplicates: true,
      priorities: false,
      maxDelayMs,
    }
    void this.#watch()
  }

  async ensureTopic(topic: TopicSpec): Promise<void> {
    await ensureTopic(this.#open(), this.#settings, topic)
  }

  async ensureGroup(topic: string, group: string, startAt: StartAt): Promise<void> {
    await ensureGroup(this.#open(), topic, group, startAt, this.#settings.ackWaitMs)
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    this.#open()
    const { clock, metrics } = this.#environment
    const beganMs = clock.now()
    const outcomes = await publishDelayable(this.capabilities, messages, (some) => this.#publisher.publish(topic, some))
    const labels = { transport: 'nats', topic }
    const published = outcomes.reduce((count, { ok }) => (ok ? count + 1 : count), 0)
    metrics.duration('headwater_transport_publish_duration_ms', clock.now() - beganMs, labels)
    if (published > 0) metrics.count('headwater_transport_published_total', published, labels)
    if (published < outcomes.length) metrics.count('headwater_transport_publish_failures_total', outcomes.length - published, labels)
    return outcomes
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    const client = this.#open()
    const info = await ensureGroup(client, options.topic, options.group, options.startAt, this.#settings.ackWaitMs)
    this.#open()
    const revocation = new AbortController()
    const reader = new Reader(client, this.#environment, options, info, revocation.signal)
    const subscription: NatsSubscription = new NatsSubscription(reader, this.#environment, options, revocation, () =>
      this.#subscriptions.delete(subscription),
    )
    this.#subscriptions.add(subscription)
    return subscription
  }

  async resetGroup(topic: string, group: string, startAt: StartAt): Promise<readonly GroupPlace[]> {
    return resetGroup(this.#open(), topic, group, startAt, this.#settings.ackWaitMs)
  }

  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    return lagOf(this.#open(), topic, group)
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await this.#publisher.idle()
    await this.#client.connection.close()
  }

  #open(): Client {
    if (this.#closing) throw new TransportClosedError('nats')
    return this.#client
  }

  /** Follows the connection, which the client makes anew by itself for as long as it is open. */
  async #watch(): Promise<void> {
    const { log, metrics } = this.#environment
    for await (const status of this.#client.connection.status()) {
      if (status.type === 'disconnect') {
        if (this.#closing === undefined) log('warn', 'the connection to NATS was lost', { server: status.server })
        metrics.count('headwater_transport_disconnects_total', 1, { transport: 'nats' })
        this.#publisher.disconnected()
        for (const subscription of this.#subscriptions) subscription.disconnected()
      } else if (status.type === 'reconnect') {
        log('info', 'connected to NATS again', { server: status.server })
        this.#publisher.reconnected()
        for (const subscription of this.#subscriptions) subscription.reconnected()
      } else if (status.type === 'error') {
        log('warn', 'NATS reports an error', { error: describeError(status.error) })
        this.#publisher.noteProblem(status.error)
      } else if (status.type === 'ldm') log('info', 'the NATS server is about to shut down', { server: status.server })
    }
    if (this.#closing === undefined) log('error', 'the client has given up the connection to NATS')
    this.#publisher.abandon()
  }
}
