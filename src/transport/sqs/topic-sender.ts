import type { Environment } from '../../observability/environment.ts'
import { UnknownTopicError } from '../errors.ts'
import type { SqsClient } from './client.ts'
import type { Delivery } from './delivery.ts'
import { QueueSender } from './queue-sender.ts'
import type { Queues } from './queues.ts'
import { pause } from './retry.ts'
import type { SqsSettings } from './settings.ts'

/** Splits what is published to a topic over the queues of its groups, which it looks up again and again. */
export class TopicSender {
  readonly #topic: string
  readonly #queues: Queues
  readonly #client: SqsClient
  readonly #settings: SqsSettings
  readonly #environment: Environment
  readonly #senders = new Map<string, QueueSender>()
  /** When the list of queues was asked for; undefined: it is not to be relied on. */
  #lookedUpAtMs: number | undefined
  #isLookingUp = false
  /** What came while the queues were looked up. */
  #waiting: Delivery[] = []
  #lastError: unknown

  constructor(topic: string, queues: Queues, client: SqsClient, settings: SqsSettings, environment: Environment) {
    this.#topic = topic
    this.#queues = queues
    this.#client = client
    this.#settings = settings
    this.#environment = environment
  }

  /** Why nothing was sent lately, if so. */
  get lastError(): unknown {
    return this.#lastError ?? [...this.#senders.values()].findLast((sender) => sender.lastError !== undefined)?.lastError
  }

  send(deliveries: readonly Delivery[]): void {
    const isFresh = this.#lookedUpAtMs !== undefined && this.#environment.clock.now() - this.#lookedUpAtMs < this.#settings.queueCacheMs
    if (isFresh && !this.#isLookingUp) return this.#distribute(deliveries)
    this.#waiting.push(...deliveries)
    if (!this.#isLookingUp) void this.#lookUp()
  }

  abandon(key: string, error: Error): void {
    for (const delivery of this.#waiting) if (delivery.key === key) delivery.fail(error)
    for (const sender of this.#senders.values()) sender.abandon(key, error)
  }

  /** A queue that was just made, and that SQS may not list yet. */
  addQueue(url: string): void {
    if (!this.#senders.has(url)) this.#senders.set(url, this.#newSender(url))
  }

  async #lookUp(): Promise<void> {
    this.#isLookingUp = true
    for (let attempt = 0; this.#waiting.some((delivery) => !delivery.isOver); attempt++) {
      try {
        await this.#readQueues()
        break
      } catch (error) {
        if (error instanceof UnknownTopicError) {
          for (const delivery of this.#waiting) delivery.fail(error)
          break
        }
        this.#lastError = error
        await pause(attempt, this.#environment)
      }
    }
    this.#isLookingUp = false
    this.#distribute(this.#waiting.splice(0))
  }

  async #readQueues(): Promise<void> {
    const { clock, log } = this.#environment
    const askedAtMs = clock.now()
    const listed = await this.#queues.ofTopic(this.#topic)
    for (const url of this.#senders.keys()) if (!listed.includes(url) && !(await this.#queues.isThere(url))) this.#senders.delete(url)
    for (const url of listed) this.addQueue(url)
    this.#lookedUpAtMs = askedAtMs
    this.#lastError = undefined
    if (this.#senders.size === 0) log('debug', 'published to a topic that no group consumes', { transport: 'sqs', topic: this.#topic })
  }

  #newSender(url: string): QueueSender {
    const isGone = async (): Promise<boolean> => {
      this.#lookedUpAtMs = undefined
      return !(await this.#queues.isThere(url).catch(() => true))
    }
    return new QueueSender(url, this.#client, this.#settings, this.#environment, isGone)
  }

  #distribute(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) {
      if (delivery.isOver) continue
      delivery.splitOver(this.#senders.size)
      for (const sender of this.#senders.values()) sender.add(delivery)
    }
  }
}
