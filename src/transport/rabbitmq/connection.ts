import type { Environment } from '../../observability/environment.ts'
import { publishDelayable } from '../delays.ts'
import { TransportClosedError, UnsupportedByTransportError } from '../errors.ts'
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
import type { Broker } from './handshake.ts'
import { DelayQueues, maxDelayMs } from './delay-queues.ts'
import { countLag } from './lag.ts'
import type { Link } from './link.ts'
import type { Settings } from './options.ts'
import { TopicPublisher } from './publisher.ts'
import { QueueSubscription } from './subscription.ts'
import { queueOf, Topology } from './topology.ts'

/** Two connections: a broker that is short of memory stops reading from those that publish, which must not keep acknowledgements from it. */
export interface Links {
  readonly publishing: Link
  readonly consuming: Link
}

/** Shared by the connections of one transport, so that each knows what the others of its process hold. */
export type Subscriptions = Set<QueueSubscription>

export class RabbitMqConnection implements TransportConnection {
  readonly capabilities: TransportCapabilities
  readonly #settings: Settings
  readonly #broker: Broker
  readonly #links: Links
  readonly #environment: Environment
  readonly #topology: Topology
  readonly #delayQueues: DelayQueues
  readonly #publishers = new Map<string, TopicPublisher>()
  readonly #publishing = new Set<Promise<unknown>>()
  readonly #subscriptions: Subscriptions = new Set()
  readonly #everySubscription: Subscriptions
  #closed: Promise<void> | undefined

  constructor(settings: Settings, broker: Broker, links: Links, everySubscription: Subscriptions, environment: Environment) {
    this.#settings = settings
    this.#broker = broker
    this.#links = links
    this.#environment = environment
    this.#everySubscription = everySubscription
    this.#topology = new Topology(links.consuming, settings, broker.version, environment.log)
    this.#delayQueues = new DelayQueues(links.publishing, this.#topology, environment.clock)
    this.capabilities = {
      name: 'rabbitmq',
      ordering: 'queue',
      startAt: ['end'],
      maxMessageBytes: settings.maxMessageBytes,
      deduplicates: false,
      priorities: settings.priorities,
      maxDelayMs,
    }
  }

  async ensureTopic(topic: TopicSpec): Promise<void> {
    this.#checkOpen()
    await this.#topology.ensureTopic(topic)
  }

  async ensureGroup(topic: string, group: string, startAt: StartAt): Promise<void> {
    this.#checkOpen()
    await this.#topology.ensureGroup(topic, group, startAt)
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    this.#checkOpen()
    const publishing = publishDelayable(this.capabilities, messages, (some) => this.#publish(topic, some))
    this.#publishing.add(publishing)
    try {
      return await publishing
    } finally {
      this.#publishing.delete(publishing)
    }
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    this.#checkOpen()
    await this.#topology.ensureGroup(options.topic, options.group, options.startAt)
    this.#checkOpen()
    const subscription = new QueueSubscription(
      this.#links.consuming,
      this.#topology,
      options,
      this.#settings.heartbeatSec,
      this.#environment,
    )
    this.#subscriptions.add(subscription)
    this.#everySubscription.add(subscription)
    return { close: () => this.#end(subscription) }
  }

  /** To the end neither: that would be to throw away what waits, which whoever means it does with the broker's own tools. */
  async resetGroup(topic: string, group: string, _startAt: StartAt): Promise<readonly GroupPlace[]> {
    this.#checkOpen()
    throw new UnsupportedByTransportError(
      `the group ${group} of ${topic} cannot be put anywhere else: RabbitMQ keeps no history, and forgets a message as soon as it is handled`,
    )
  }

  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    this.#checkOpen()
    const queue = queueOf(topic, group)
    let held = 0
    for (const subscription of this.#everySubscription) if (subscription.queue === queue) held += subscription.held
    return [{ partition: undefined, messages: await countLag(this.#topology, this.#settings, topic, group, held) }]
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** Those that are to come later need a place to wait, which the others do not wait for. */
  async #publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    const publisher = this.#publisherOf(topic)
    const later = messages.filter(isLater)
    if (later.length === 0) return publisher.publish(messages)
    const [now, delayed] = await Promise.all([publisher.publish(messages.filter((one) => !isLater(one))), this.#publishLater(topic, later)])
    const [nextNow, nextDelayed] = [now.values(), delayed.values()]
    return messages.map((one) => (isLater(one) ? nextDelayed : nextNow).next().value!)
  }

  async #publishLater(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    try {
      await this.#delayQueues.ensure(
        topic,
        messages.map(({ delayMs = 0 }) => delayMs),
      )
    } catch (error) {
      const reason = error instanceof Error ? error : new Error(String(error))
      return messages.map(() => ({ ok: false, refused: false, error: reason }))
    }
    const outcomes = await this.#publisherOf(topic).publish(messages)
    if (outcomes.some(({ ok }) => !ok)) this.#delayQueues.forget(topic)
    return outcomes
  }

  async #close(): Promise<void> {
    const publishing = Promise.allSettled(this.#publishing)
    await Promise.all([publishing, ...[...this.#subscriptions].map((subscription) => this.#end(subscription))])
    await Promise.all([...this.#publishers.values()].map((publisher) => publisher.close()))
    await Promise.all([this.#links.publishing.close(), this.#links.consuming.close()])
  }

  async #end(subscription: QueueSubscription): Promise<void> {
    await subscription.close()
    this.#subscriptions.delete(subscription)
    this.#everySubscription.delete(subscription)
  }

  #publisherOf(topic: string): TopicPublisher {
    const known = this.#publishers.get(topic)
    if (known) return known
    const made = new TopicPublisher(topic, this.#settings, this.#broker.maxFrameBytes, this.#links.publishing, this.#environment)
    this.#publishers.set(topic, made)
    return made
  }

  #checkOpen(): void {
    if (this.#closed) throw new TransportClosedError('RabbitMQ')
  }
}

function isLater({ delayMs = 0 }: OutgoingMessage): boolean {
  return delayMs > 0
}
