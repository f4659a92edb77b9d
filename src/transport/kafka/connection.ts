import { backoffMs } from '../../storage/backoff.ts'
import { earliest, latest } from './client/cluster.ts'
import type { Cluster } from './client/cluster.ts'
import type { Library } from './client/library.ts'
import { placesOf } from './places.ts'
import { TopicPublisher } from './publisher.ts'
import { KafkaSubscription } from './subscription.ts'
import { publishDelayable } from '../delays.ts'
import { TopicMismatchError, TransportClosedError, TransportUnavailableError, UnknownTopicError } from '../errors.ts'
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

/** As long as a topic takes to be known everywhere, and then some. */
const topicTimeoutMs = 10_000

export class KafkaConnection implements TransportConnection {
  readonly capabilities: TransportCapabilities
  readonly #library: Library
  readonly #cluster: Cluster
  readonly #publishers = new Map<string, Promise<TopicPublisher>>()
  readonly #subscriptions = new Set<KafkaSubscription>()
  #closing: Promise<void> | undefined

  constructor(library: Library, cluster: Cluster, maxMessageBytes: number) {
    this.#library = library
    this.#cluster = cluster
    this.capabilities = {
      name: 'kafka',
      ordering: 'partition',
      startAt: ['beginning', 'end', 'time'],
      maxMessageBytes,
      deduplicates: false,
      priorities: false,
      maxDelayMs: 0,
    }
  }

  async ensureTopic(topic: TopicSpec): Promise<void> {
    this.#assertOpen()
    const isNew = await this.#cluster.createTopic(topic)
    const partitions = await this.#untilKnown(topic.name)
    if (isNew) return
    if (topic.partitions !== undefined && topic.partitions !== partitions)
      throw new TopicMismatchError(topic.name, 'partitions', topic.partitions, partitions)
    const wanted = { ...(topic.retentionMs !== undefined && { 'retention.ms': String(topic.retentionMs) }), ...topic.settings }
    if (Object.keys(wanted).length === 0) return
    const actual = await this.#cluster.topicSettings(topic.name)
    for (const [setting, value] of Object.entries(wanted))
      if (actual.get(setting) !== value) throw new TopicMismatchError(topic.name, setting, value, actual.get(setting))
  }

  async ensureGroup(topic: string, _group: string, _startAt: StartAt): Promise<void> {
    this.#assertOpen()
    await this.#cluster.partitions(topic)
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    this.#assertOpen()
    if (messages.length === 0) return []
    const publisher = this.#publishers.get(topic) ?? this.#openPublisher(topic)
    try {
      return await publishDelayable(this.capabilities, messages, async (some) => (await publisher).publish(some))
    } catch (error) {
      if (!(error instanceof UnknownTopicError || error instanceof TransportUnavailableError)) throw error
      return messages.map(() => ({ ok: false, refused: false, error }))
    }
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    this.#assertOpen()
    await this.#cluster.partitions(options.topic)
    this.#assertOpen()
    const subscription = new KafkaSubscription(this.#library, this.#cluster, options)
    this.#subscriptions.add(subscription)
    return {
      close: async () => {
        await subscription.close()
        this.#subscriptions.delete(subscription)
      },
    }
  }

  async resetGroup(topic: string, _group: string, startAt: StartAt): Promise<readonly GroupPlace[]> {
    this.#assertOpen()
    return placesOf(this.#cluster, topic, startAt)
  }

  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    this.#assertOpen()
    const count = await this.#cluster.partitions(topic)
    const partitions = Array.from({ length: count }, (_, partition) => partition)
    const [ends, begins, committed] = await Promise.all([
      this.#cluster.offsets(topic, partitions, latest),
      this.#cluster.offsets(topic, partitions, earliest),
      this.#cluster.committed(group, topic),
    ])
    return partitions.map((partition) => {
      // Messages that retention has removed are no work any more.
      const begin = begins.get(partition) ?? 0
      return { partition, messages: (ends.get(partition) ?? 0) - Math.max(begin, committed.get(partition) ?? begin) }
    })
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const publishers = await Promise.allSettled(this.#publishers.values())
    await Promise.all([
      ...publishers.map((publisher) => (publisher.status === 'fulfilled' ? publisher.value.close() : undefined)),
      ...[...this.#subscriptions].map((subscription) => subscription.close()),
    ])
    await this.#cluster.close()
  }

  #openPublisher(topic: string): Promise<TopicPublisher> {
    const opening = TopicPublisher.open(this.#library, topic, () => this.#askForLimit(topic))
    this.#publishers.set(topic, opening)
    opening.catch(() => this.#publishers.delete(topic))
    return opening
  }

  /** A broker that is away is waited for as long as it would be with a message that is on its way. */
  async #askForLimit(topic: string): Promise<number> {
    const { clock, random } = this.#library.environment
    const deadlineMs = clock.now() + this.#library.settings.publishTimeoutMs
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#cluster.maxMessageBytesOf(topic)
      } catch (error) {
        if (error instanceof UnknownTopicError || clock.now() >= deadlineMs) throw error
      }
      await clock.sleep(backoffMs(attempt, { firstMs: 50, maxMs: 1_000 }, random))
    }
  }

  /** How many partitions it has. A topic that was just made is not known to every broker at once. */
  async #untilKnown(topic: string): Promise<number> {
    const { clock } = this.#library.environment
    const deadlineMs = clock.now() + topicTimeoutMs
    for (;;) {
      try {
        return await this.#cluster.partitions(topic)
      } catch (error) {
        if (clock.now() > deadlineMs) throw error
      }
      await clock.sleep(50)
    }
  }

  #assertOpen(): void {
    if (this.#closing) throw new TransportClosedError('kafka')
  }
}
