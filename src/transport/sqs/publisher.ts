import type { Environment } from '../../observability/environment.ts'
import { MessageTooLargeError, TransportUnavailableError } from '../errors.ts'
import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import type { SqsClient } from './client.ts'
import { Delivery, PublishCall, refused } from './delivery.ts'
import { encode } from './encode.ts'
import { because } from './queue-sender.ts'
import type { Queues } from './queues.ts'
import type { SqsSettings } from './settings.ts'
import { TopicSender } from './topic-sender.ts'
import { maxBytes } from './wire.ts'

interface PendingCall {
  readonly topic: string
  readonly call: PublishCall
}

/** Publishes, and puts an end to what takes too long. */
export class Publisher {
  readonly #queues: Queues
  readonly #client: SqsClient
  readonly #settings: SqsSettings
  readonly #environment: Environment
  readonly #topics = new Map<string, TopicSender>()
  /** In the order of their deadlines, since each call has the same time. */
  readonly #pending = new Set<PendingCall>()
  readonly #closed = new AbortController()
  #isWatching = false

  constructor(queues: Queues, client: SqsClient, settings: SqsSettings, environment: Environment) {
    this.#queues = queues
    this.#client = client
    this.#settings = settings
    this.#environment = environment
  }

  async publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    const { clock, metrics } = this.#environment
    const beganMs = clock.now()
    const call = new PublishCall(messages.length, beganMs + this.#settings.publishTimeoutMs)
    const deliveries: Delivery[] = []
    for (const [index, message] of messages.entries()) {
      const encoded = encode(message, this.#settings.fifo, beganMs)
      if (encoded.bytes > maxBytes) call.settle(index, tooLarge(message.id, encoded.bytes))
      else deliveries.push(new Delivery(message, encoded, call, index))
    }
    const pending = { topic, call }
    if (deliveries.length > 0) {
      this.#pending.add(pending)
      this.#topicOf(topic).send(deliveries)
      if (!this.#isWatching) void this.#watchDeadlines()
    }
    const outcomes = await call.outcomes
    this.#pending.delete(pending)
    const labels = { transport: 'sqs', topic }
    const failures = outcomes.reduce((count, { ok }) => (ok ? count : count + 1), 0)
    if (outcomes.length > failures) metrics.count('headwater_transport_published_total', outcomes.length - failures, labels)
    if (failures > 0) metrics.count('headwater_transport_publish_failures_total', failures, labels)
    metrics.duration('headwater_transport_publish_duration_ms', clock.now() - beganMs, labels)
    return outcomes
  }

  /** A group of the topic has this queue. */
  addQueue(topic: string, url: string): void {
    this.#topicOf(topic).addQueue(url)
  }

  /** Sends what is being sent, or lets it run out of time. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#pending, ({ call }) => call.outcomes))
    this.#closed.abort()
  }

  #topicOf(topic: string): TopicSender {
    let sender = this.#topics.get(topic)
    if (!sender) this.#topics.set(topic, (sender = new TopicSender(topic, this.#queues, this.#client, this.#settings, this.#environment)))
    return sender
  }

  async #watchDeadlines(): Promise<void> {
    this.#isWatching = true
    const { clock } = this.#environment
    for (let next = this.#giveUpOverdue(); next && !this.#closed.signal.aborted; next = this.#giveUpOverdue())
      await clock.sleep(next.call.deadlineMs - clock.now(), this.#closed.signal)
    this.#isWatching = false
  }

  /** Returns the call that is overdue next. */
  #giveUpOverdue(): PendingCall | undefined {
    const nowMs = this.#environment.clock.now()
    for (const pending of this.#pending) {
      if (pending.call.deadlineMs > nowMs) return pending
      this.#giveUp(pending)
    }
    return undefined
  }

  /** A message that may or may not have arrived must not be overtaken by those behind it. */
  #giveUp({ topic, call }: PendingCall): void {
    const sender = this.#topicOf(topic)
    const cause = sender.lastError
    const timeoutMs = this.#settings.publishTimeoutMs
    for (const delivery of call.deliveries) {
      delivery.fail(
        new TransportUnavailableError(`SQS did not confirm the message ${delivery.id} within ${timeoutMs} ms: ${because(cause)}`, {
          cause,
        }),
      )
      if (delivery.key === undefined) continue
      const error = new TransportUnavailableError(`the message was not sent, since one before it of its key was not confirmed in time`)
      sender.abandon(delivery.key, error)
    }
  }
}

function tooLarge(id: string, bytes: number): PublishOutcome {
  return refused(new MessageTooLargeError(id, bytes, { bytes: maxBytes, name: 'the limit of Amazon SQS' }))
}
