import type { Environment } from '../../observability/environment.ts'
import { publishDelayable } from '../delays.ts'
import { TransportClosedError, UnsupportedByTransportError } from '../errors.ts'
import type {
  BrokerDeadLetters,
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
import type { SqsClient } from './client.ts'
import { DeadLetters } from './dead-letters.ts'
import { watchDeadLetters } from './dead-letter-watch.ts'
import { maxDelayMsOf } from './delay.ts'
import { GroupQueue } from './group-queue.ts'
import { Publisher } from './publisher.ts'
import { Queues } from './queues.ts'
import { retrying, translated } from './retry.ts'
import type { SqsSettings } from './settings.ts'
import { SqsSubscription } from './subscription.ts'
import { maxBytes } from './wire.ts'

export class SqsConnection implements TransportConnection {
  readonly capabilities: TransportCapabilities
  readonly deadLetters: BrokerDeadLetters
  readonly #client: SqsClient
  readonly #settings: SqsSettings
  readonly #environment: Environment
  readonly #queues: Queues
  readonly #publisher: Publisher
  readonly #subscriptions = new Set<SqsSubscription>()
  readonly #closed = new AbortController()
  #closing: Promise<void> | undefined

  constructor(client: SqsClient, settings: SqsSettings, environment: Environment) {
    this.capabilities = {
      name: 'sqs',
      ordering: settings.fifo ? 'group' : 'none',
      startAt: ['end'],
      maxMessageBytes: maxBytes,
      deduplicates: settings.fifo,
      priorities: false,
      maxDelayMs: maxDelayMsOf(settings.fifo),
    }
    this.#client = client
    this.#settings = settings
    this.#environment = environment
    this.#queues = new Queues(client, settings, environment, retrying(environment, this.#closed.signal, settings.publishTimeoutMs))
    this.deadLetters = new DeadLetters(client, this.#queues)
    this.#publisher = new Publisher(this.#queues, client, settings, environment)
  }

  async ensureTopic(topic: TopicSpec): Promise<void> {
    this.#assertOpen()
    await translated(`the topic ${topic.name} could not be made`, () => this.#queues.ensureTopic(topic))
  }

  async ensureGroup(topic: string, group: string, startAt: StartAt): Promise<void> {
    this.#assertOpen()
    await this.#findGroup(topic, group, startAt)
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    this.#assertOpen()
    return publishDelayable(this.capabilities, messages, (some) => this.#publisher.publish(topic, some))
  }

  async subscribe(options: SubscriptionOptions): Promise<Subscription> {
    this.#assertOpen()
    const url = await this.#findGroup(options.topic, options.group, options.startAt)
    this.#assertOpen()
    const { fifo, visibilityTimeoutSec } = this.#settings
    const queue = new GroupQueue(url, this.#client, fifo, visibilityTimeoutSec)
    const subscription = new SqsSubscription(options, queue, this.#settings, this.#environment)
    this.#subscriptions.add(subscription)
    const ended = new AbortController()
    if (this.#settings.maxReceiveCount !== undefined) this.#watchDeadLetters(options, AbortSignal.any([ended.signal, this.#closed.signal]))
    return {
      close: async () => {
        ended.abort()
        await subscription.close()
        this.#subscriptions.delete(subscription)
      },
    }
  }

  /** To the end neither: that would be to throw away what waits, which whoever means it does with the broker's own tools. */
  async resetGroup(topic: string, group: string, _startAt: StartAt): Promise<readonly GroupPlace[]> {
    this.#assertOpen()
    throw new UnsupportedByTransportError(
      `the group ${group} of ${topic} cannot be put anywhere else: Amazon SQS keeps no history, and forgets a message as soon as it is handled`,
    )
  }

  async lag(topic: string, group: string): Promise<readonly PartitionLag[]> {
    this.#assertOpen()
    const what = `the messages of the group ${group} of ${topic} could not be counted`
    return [{ partition: undefined, messages: await translated(what, () => this.#queues.countMessages(topic, group)) }]
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async #close(): Promise<void> {
    await Promise.all([this.#publisher.close(), ...Array.from(this.#subscriptions, (subscription) => subscription.close())])
    this.#closed.abort()
    this.#client.destroy()
  }

  async #findGroup(topic: string, group: string, startAt: StartAt): Promise<string> {
    const what = `the group ${group} of ${topic} could not be made`
    const url = await translated(what, () => this.#queues.ensureGroup(topic, group, startAt))
    this.#publisher.addQueue(topic, url)
    return url
  }

  #watchDeadLetters({ topic, group }: SubscriptionOptions, signal: AbortSignal): void {
    void watchDeadLetters(topic, group, () => this.#queues.countDeadLetters(topic, group), this.#environment, signal)
  }

  #assertOpen(): void {
    if (this.#closing) throw new TransportClosedError('sqs')
  }
}
