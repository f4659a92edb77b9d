import type { Channel } from 'rabbitmq-client'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { MessageTooLargeError, TransportUnavailableError, UnknownTopicError } from '../errors.ts'
import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import { Backlog, type Waiting } from './backlog.ts'
import { Call, ok } from './call.ts'
import type { Link } from './link.ts'
import type { Settings } from './options.ts'
import { prepare, type Destination, type Sendable } from './outgoing.ts'
import { codeOf } from './topology.ts'

/** Between channels. A lost connection has pauses of its own. */
const backoff = { firstMs: 50, maxMs: 500 }
/** A channel that lived so long does not count as another failure in a row when it ends. */
const stableMs = 10_000
/** Sent and not confirmed: enough that the broker never waits, few enough that little is sent twice after a lost connection. */
const maxInFlight = 2_000
const maxBytesInFlight = 8 * 1024 * 1024
/** The broker's reply to a message over its own limit, which may be lower than ours. */
const tooLarge = /message size \d+ is larger than configured max size (\d+)/

interface Pending extends Waiting, Sendable {
  readonly call: Call
  readonly index: number
  readonly id: string
  wasReturned: boolean
}

/**
 * Publishes to one topic over one channel, which keeps the order. When the channel is lost, or the broker says no to a message without a reason, another
 * channel takes its place and everything that was not confirmed is sent again from the first on, so that of each key no message is in a queue before
 * those that it stands behind.
 */
export class TopicPublisher {
  readonly #topic: string
  readonly #destination: Destination
  readonly #publishTimeoutMs: number
  readonly #link: Link
  readonly #environment: Environment
  readonly #labels: Readonly<Record<string, string>>
  readonly #backlog = new Backlog<Pending>()
  readonly #closing = new AbortController()
  #channel: Channel | undefined
  /** Of the channel; what a former one answers late is told apart by it. */
  #generation = 0
  #inFlight = 0
  #bytesInFlight = 0
  #isOpening = false
  #isWatching = false
  /** In a row, each soon after the other. */
  #failures = 0
  #openedMs = 0
  /** What ended the last channel, while nothing has been confirmed since. */
  #trouble: unknown

  constructor(topic: string, settings: Settings, maxFrameBytes: number, link: Link, environment: Environment) {
    this.#topic = topic
    const { priorities, maxMessageBytes } = settings
    this.#destination = { topic, options: settings.topics[topic] ?? {}, priorities, maxMessageBytes, maxFrameBytes }
    this.#publishTimeoutMs = settings.publishTimeoutMs
    this.#link = link
    this.#environment = environment
    this.#labels = { transport: 'rabbitmq', topic }
  }

  async publish(messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    if (messages.length === 0) return []
    const { clock, metrics } = this.#environment
    const beganMs = clock.now()
    const call = new Call(messages.length)
    const deadlineMs = beganMs + this.#publishTimeoutMs
    for (const [index, message] of messages.entries()) this.#accept(message, call, index, deadlineMs)
    this.#send()
    if (!this.#isWatching) void this.#watch()
    await call.settled
    let failed = 0
    for (const outcome of call.outcomes) if (!outcome.ok) failed++
    if (failed < messages.length) metrics.count('headwater_transport_published_total', messages.length - failed, this.#labels)
    if (failed > 0) metrics.count('headwater_transport_publish_failures_total', failed, this.#labels)
    metrics.duration('headwater_transport_publish_duration_ms', clock.now() - beganMs, this.#labels)
    return call.outcomes
  }

  /** When nothing is being published any more. */
  async close(): Promise<void> {
    this.#closing.abort()
    if (this.#channel) await this.#link.release(this.#channel)
  }

  #accept(message: OutgoingMessage, call: Call, index: number, deadlineMs: number): void {
    const sendable = prepare(message, this.#destination)
    if (sendable instanceof Error) return call.settle(index, { ok: false, refused: true, error: sendable })
    const { id, key } = message
    this.#backlog.push({ ...sendable, call, index, id, key, deadlineMs, isDone: false, wasReturned: false })
  }

  #send(): void {
    const channel = this.#channel
    if (!channel) {
      if (!this.#isOpening) void this.#open()
      return
    }
    while (this.#inFlight < maxInFlight && this.#bytesInFlight < maxBytesInFlight) {
      const pending = this.#backlog.next()
      if (!pending) return
      this.#inFlight++
      this.#bytesInFlight += pending.bytes
      pending.wasReturned = false
      const generation = this.#generation
      channel.basicPublish(pending.envelope, pending.body).then(
        () => this.#confirmed(pending, generation),
        (error: unknown) => this.#failed(pending, generation, error),
      )
    }
  }

  #confirmed(pending: Pending, generation: number): void {
    if (pending.envelope.mandatory) {
      // The client tells of a return one turn later than of the confirmation that follows it.
      setImmediate(() => this.#settle(pending, generation, pending.wasReturned ? this.#unroutable(pending) : ok))
    } else this.#settle(pending, generation, ok)
  }

  #settle(pending: Pending, generation: number, outcome: PublishOutcome): void {
    this.#finish(pending, outcome)
    if (generation !== this.#generation) return
    this.#trouble = undefined
    this.#inFlight--
    this.#bytesInFlight -= pending.bytes
    this.#send()
  }

  #finish(pending: Pending, outcome: PublishOutcome): void {
    if (pending.isDone) return
    this.#backlog.finish(pending)
    pending.call.settle(pending.index, outcome)
  }

  #failed(pending: Pending, generation: number, error: unknown): void {
    // That the channel is closed is learnt from itself, after the one message that was the reason.
    if (generation !== this.#generation || codeOf(error) === 'CH_CLOSE') return
    // The library could not write it: a message that it would break on again.
    if (codeOf(error) === 'CODEC') this.#finish(pending, { ok: false, refused: true, error: toError(error) })
    this.#abandon(error)
  }

  /** The channel is of no use any more. What was sent over it and not confirmed is sent again over another one. */
  #abandon(error: unknown): void {
    const channel = this.#channel
    this.#channel = undefined
    this.#generation++
    this.#inFlight = 0
    this.#bytesInFlight = 0
    this.#failures = this.#environment.clock.now() - this.#openedMs < stableMs ? this.#failures + 1 : 1
    this.#trouble = error
    this.#backlog.rewind()
    this.#judge(error)
    if (channel?.active) void this.#link.release(channel)
    if (this.#backlog.size > 0 && !this.#isOpening) void this.#open()
  }

  /** Gives up what would fail again in the same way. */
  #judge(error: unknown): void {
    const code = codeOf(error)
    const limit = tooLarge.exec(describeError(error))?.[1]
    for (const pending of this.#backlog.all())
      if (code === 'NOT_FOUND' && describeError(error).includes(`'${pending.envelope.exchange}'`))
        this.#finish(pending, { ok: false, refused: false, error: new UnknownTopicError('RabbitMQ', this.#topic) })
      else if (code === 'ACCESS_REFUSED') {
        const text = `RabbitMQ takes no messages of ${this.#topic} from this user: ${describeError(error)}`
        this.#finish(pending, { ok: false, refused: false, error: new TransportUnavailableError(text, { cause: error }) })
      } else if (limit !== undefined && pending.body.byteLength > Number(limit)) {
        const broker = { bytes: Number(limit), name: 'max_message_size of RabbitMQ' }
        this.#finish(pending, { ok: false, refused: true, error: new MessageTooLargeError(pending.id, pending.body.byteLength, broker) })
      }
  }

  /** For as long as anything waits to be sent. */
  async #open(): Promise<void> {
    const { clock, random } = this.#environment
    this.#isOpening = true
    while (this.#backlog.size > 0 && !this.#channel && !this.#closing.signal.aborted) {
      try {
        if (this.#failures > 1) await clock.sleep(backoffMs(this.#failures - 2, backoff, random), this.#closing.signal)
        const channel = await this.#link.acquire()
        await channel.confirmSelect()
        if (this.#closing.signal.aborted) await this.#link.release(channel)
        if (!channel.active) continue
        this.#channel = channel
        this.#openedMs = clock.now()
        this.#listen(channel, this.#generation)
      } catch (error) {
        this.#trouble = error
        this.#failures++
      }
    }
    this.#isOpening = false
    if (this.#channel) this.#send()
  }

  #listen(channel: Channel, generation: number): void {
    channel.on('error', (error) => generation === this.#generation && this.#abandon(error))
    channel.on('close', () => {
      // The promise of the message that was the reason is rejected before, but runs after this.
      setImmediate(() => generation === this.#generation && this.#abandon(new Error('the channel was closed')))
    })
    channel.on('basic.return', ({ messageId }) => {
      const returned = this.#backlog.all().find(({ envelope, wasReturned }) => envelope.messageId === messageId && !wasReturned)
      if (returned) returned.wasReturned = true
    })
  }

  /** Gives up what could not be confirmed in time, and what stands behind it of its key, which would overtake it. */
  async #watch(): Promise<void> {
    const { clock } = this.#environment
    this.#isWatching = true
    for (let oldest = this.#backlog.oldest(); oldest && !this.#closing.signal.aborted; oldest = this.#backlog.oldest()) {
      const waitMs = oldest.deadlineMs - clock.now()
      if (waitMs > 0) await clock.sleep(waitMs, this.#closing.signal)
      else for (const pending of this.#backlog.overdue(clock.now())) this.#finish(pending, this.#unconfirmed(pending))
    }
    this.#isWatching = false
  }

  #unconfirmed({ id }: Pending): PublishOutcome {
    const reason = this.#trouble === undefined ? '' : `: ${describeError(this.#trouble)}`
    const text = `RabbitMQ has not confirmed the message ${id} within ${this.#publishTimeoutMs} ms${reason}`
    const error = new TransportUnavailableError(text, { cause: this.#trouble })
    return { ok: false, refused: false, error }
  }

  #unroutable({ id, envelope }: Pending): PublishOutcome {
    const text = `no queue of ${this.#topic} takes the message ${id} with the routing key ${envelope.routingKey}`
    const error = new TransportUnavailableError(text)
    return { ok: false, refused: false, error }
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
