import { uuidv7 } from '../../message/id.ts'
import type { EventStore } from '../../storage/event-store.ts'
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
import { countAfter, positionOf } from './position.ts'
import { Publisher } from './publisher.ts'
import { LogSubscription, processorOf } from './subscription.ts'
import { Topics } from './topics.ts'
import { WakeUp } from './wake-up.ts'

export interface ConnectionOptions {
  readonly clientName: string
  readonly maxMessageBytes: number
  readonly publishTimeoutMs: number
  readonly leaseTtlMs: number
  readonly pollMs: number
}

/** A store as a broker. See `log`. */
export class LogConnection implements TransportConnection {
  readonly capabilities: TransportCapabilities
  readonly #store: EventStore
  readonly #options: ConnectionOptions
  readonly #topics: Topics
  readonly #wakeUp: WakeUp
  readonly #publishers = new Map<string, Publisher>()
  /** Calls of `publish` that have not ended. */
  readonly #publishing = new Set<Promise<unknown>>()
  readonly #subscriptions = new Set<LogSubscription>()
  #closing: Promise<void> | undefined

  private constructor(store: EventStore, options: ConnectionOptions) {
    this.#store = store
    this.#options = options
    this.#topics = new Topics(store)
    this.#wakeUp = new WakeUp(store, options.pollMs)
    this.capabilities = {
      name: 'log',
      ordering: 'partition',
      startAt: ['beginning', 'end', 'time'],
      maxMessageBytes: options.maxMessageBytes,
      deduplicates: true,
      priorities: false,
      maxDelayMs: 0,
    }
  }

  static async open(store: EventStore, options: ConnectionOptions): Promise<LogConnection> {
    const connection = new LogConnection(store, options)
    await connection.#wakeUp.start()
    return connection
  }

  async ensureTopic(topic: TopicSpec): Promise<void> {
    this.#checkOpen()
    await this.#topics.ensure(topic)
  }

  /** Nothing has to be made: the log keeps its messages for everybody. */
  async ensureGroup(topic: string, _group: string, _startAt: StartAt): Promise<void> {
    this.#checkOpen()
    await this.#topics.check(topic)
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    this.#checkOpen()
    const outcomes = this.#publish(topic, messages)
    this.#publishing.add(outcomes)
    return outcomes.finally(() => this.#publishing.delete(outcomes))
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    this.#checkOpen()
    await this.#topics.check(options.topic)
    const after = await positionOf(this.#store, options.topic, options.startAt)
    this.#checkOpen()
    const { clientName, leaseTtlMs } = this.#options
    const subscription = new LogSubscription(this.#store, this.#wakeUp, options, { after, clientName, leaseTtlMs })
    this.#subscriptions.add(subscription)
    return subscription
  }

  /** Members of the group get the topic anew, from wherever they then read. */
  async resetGroup(topic: string, group: string, startAt: StartAt): Promise<readonly GroupPlace[]> {
    this.#checkOpen()
    await this.#topics.check(topic)
    const after = await positionOf(this.#store, topic, startAt)
    const { processors } = this.#store.driver
    const [processor, owner] = [processorOf(topic, group), `${this.#options.clientName}-${uuidv7()}`]
    // What is kept of a group is only for `lag`, and is made by its first member otherwise.
    const claim = await processors.claim({ processor, owner, ttlMs: this.#options.leaseTtlMs, startAt: after })
    if (!claim.claimed || claim.position !== after) await processors.reset({ processor, position: after })
    else await processors.release({ owner, processors: [processor] })
    return [{ partition: 0, after, messages: await countAfter(this.#store, topic, after) }]
  }

  /** Counts the messages, up to 100,000; beyond that, everything else in the store is counted too. */
  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    this.#checkOpen()
    await this.#topics.check(topic)
    const processors = await this.#store.driver.processors.list()
    const acknowledged = processors.find(({ processor }) => processor === processorOf(topic, group))?.position ?? 0
    return [{ partition: 0, messages: await countAfter(this.#store, topic, acknowledged) }]
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    // The same steps for each call, so that calls arrive at the publisher in the order in which they were made.
    await this.#topics.check(topic)
    const publisher = this.#publishers.get(topic) ?? new Publisher(this.#store, topic, this.#options)
    this.#publishers.set(topic, publisher)
    const { clock, metrics } = this.#store.environment
    const labels = { transport: 'log', topic }
    const beganMs = clock.now()
    const outcomes = await publishDelayable(this.capabilities, messages, (some) => publisher.publish(some))
    const confirmed = outcomes.filter(({ ok }) => ok).length
    if (confirmed > 0) metrics.count('headwater_transport_published_total', confirmed, labels)
    if (confirmed < outcomes.length) metrics.count('headwater_transport_publish_failures_total', outcomes.length - confirmed, labels)
    metrics.duration('headwater_transport_publish_duration_ms', clock.now() - beganMs, labels)
    return outcomes
  }

  async #close(): Promise<void> {
    await Promise.allSettled(this.#publishing)
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.close()))
    await this.#wakeUp.stop()
    await this.#store.close()
  }

  #checkOpen(): void {
    if (this.#closing) throw new TransportClosedError('log')
  }
}
