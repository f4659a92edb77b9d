import type { AsyncMessage, Channel } from 'rabbitmq-client'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import type { Partition, ReceivedMessage } from '../port.ts'
import { Consumers, type Consumer } from './consumers.ts'
import { DeliveryTags } from './delivery-tags.ts'
import { Intake } from './intake.ts'
import { ReturnedMessages } from './returned.ts'
import { Delivery } from './wire.ts'

export interface QueueToRead {
  readonly topic: string
  readonly group: string
  readonly queue: string
  readonly maxMessages: number
  readonly maxBytes: number
  readonly isAlone?: boolean
  /** How many messages wait in the queue. Default: nobody has looked, and nobody cares for their order. */
  readonly waiting?: number
}

/** So long, at most, are messages kept back that were returned: some of those that waited may have expired, or somebody may have taken them. */
const returnedTimeoutMs = 5_000

/**
 * A queue, for as long as one channel lives: what the channel delivered can be acknowledged on it only, and goes back to the queue with its end.
 * Afterwards there is another partition.
 */
export class QueuePartition implements Partition {
  readonly topic: string
  readonly number: undefined
  readonly #channel: Channel
  readonly #from: QueueToRead
  readonly #environment: Environment
  readonly #labels: Readonly<Record<string, string>>
  readonly #revocation = new AbortController()
  readonly #tags = new DeliveryTags()
  readonly #intake: Intake
  #returned: ReturnedMessages | undefined
  #arrived: Delivery[] = []
  readonly #consumers = new Consumers()
  #consumerTag: string | undefined
  #adjusting: Promise<void> | undefined
  #hasFailed = false
  #wakeReader: (() => void) | undefined
  #isWaking = false

  constructor(channel: Channel, from: QueueToRead, environment: Environment) {
    this.topic = from.topic
    this.number = undefined
    this.#channel = channel
    this.#from = from
    this.#environment = environment
    this.#labels = { transport: 'rabbitmq', topic: from.topic, group: from.group }
    if (from.waiting !== undefined) this.#returned = new ReturnedMessages(from.waiting)
    this.#intake = new Intake(from.maxMessages, from.maxBytes)
  }

  get revoked(): AbortSignal {
    return this.#revocation.signal
  }

  /** Delivered and neither acknowledged nor given back. */
  get held(): number {
    return this.#channel.active ? this.#intake.held : 0
  }

  async *read(): AsyncGenerator<readonly ReceivedMessage[]> {
    this.#adjust()
    if (this.#returned) void this.#endWaiting()
    while (!this.revoked.aborted) {
      if (!this.#isReady()) await new Promise<void>((resolve) => (this.#wakeReader = resolve))
      if (!this.#isReady() || this.revoked.aborted) continue
      const batch = this.#takeBatch()
      this.#environment.metrics.count('headwater_transport_received_total', batch.length, this.#labels)
      this.#reportHeld()
      yield batch
    }
  }

  acknowledge(messages: readonly ReceivedMessage[]): Promise<void> {
    const tags = this.#settle(messages)
    const { upTo, single } = this.#tags.acknowledge(tags)
    this.#tell(() => {
      if (upTo !== undefined) this.#channel.basicAck({ deliveryTag: upTo, multiple: true })
      for (const deliveryTag of single) this.#channel.basicAck({ deliveryTag })
    })
    return Promise.resolve()
  }

  /** In the order in which they came, which is the one in which the broker then gives them out again. */
  release(messages: readonly ReceivedMessage[]): Promise<void> {
    const tags = this.#settle(messages)
    this.#tell(() => {
      for (const deliveryTag of tags) this.#channel.basicNack({ deliveryTag, requeue: true })
    })
    return Promise.resolve()
  }

  /** Takes it away: no more messages come, and those that were given out can be acknowledged for as long as the channel lives. */
  revoke(): void {
    if (this.revoked.aborted) return
    this.#revocation.abort()
    this.#wakeReader?.()
    this.#environment.metrics.gauge('headwater_transport_held', 0, this.#labels)
    // The next one that is to be alone begins when there is no consumer any more: then everything has come back to the queue, with the end of the channel.
    if (this.#from.isAlone) return
    // Others get at once what has not been sent yet.
    void (this.#adjusting ?? Promise.resolve()).then(() => this.#endConsumer()).catch(() => undefined)
  }

  /** The tags of those that were not settled yet and can be, ascending. */
  #settle(messages: readonly ReceivedMessage[]): readonly number[] {
    const tags: number[] = []
    for (const message of messages) {
      const tag = Delivery.tagOn(this.#channel, message)
      if (tag === undefined || !this.#tags.settle(tag)) continue
      tags.push(tag)
      this.#consumers.settled(tag)
      this.#intake.settled(message.body.byteLength)
    }
    if (!this.revoked.aborted) this.#reportHeld()
    this.#adjust()
    return tags.toSorted((a, b) => a - b)
  }

  #tell(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      // The channel was closed: the broker gives the messages out again.
      this.#environment.log('debug', 'messages could not be acknowledged and will come again', {
        ...this.#labels,
        error: describeError(error),
      })
    }
  }

  /** All that is there, as a rule; as much as fits where the first messages of a queue turned out to be large ones. */
  #takeBatch(): readonly Delivery[] {
    let count = 0
    for (let bytes = 0; count < this.#arrived.length && bytes < this.#from.maxBytes; count++)
      bytes += this.#arrived[count]?.body.byteLength ?? 0
    if (count < this.#arrived.length) return this.#arrived.splice(0, count)
    const all = this.#arrived
    this.#arrived = []
    return all
  }

  async #endWaiting(): Promise<void> {
    await this.#environment.clock.sleep(returnedTimeoutMs, this.revoked)
    if (!this.#returned) return
    this.#returned = new ReturnedMessages(0)
    this.#wakeReader?.()
  }

  #isReady(): boolean {
    if (this.#arrived.length === 0) return false
    if (!this.#returned) return true
    if (!this.#returned.isComplete(this.#arrived, this.#adjusting !== undefined || this.#intake.mayTake)) return false
    this.#arrived = ReturnedMessages.inOrder(this.#arrived)
    this.#returned = undefined
    return true
  }

  #reportHeld(): void {
    this.#environment.metrics.gauge('headwater_transport_held', this.#intake.held, this.#labels)
  }

  #deliver(message: AsyncMessage, consumer: Consumer): void {
    const delivery = new Delivery(this.topic, this.#channel, message)
    this.#arrived.push(delivery)
    this.#intake.delivered(delivery.body.byteLength)
    this.#consumers.delivered(consumer, message.deliveryTag)
    // The client hands out each message by itself; the reader is woken once for all that came at the same time.
    if (this.#isWaking) return
    this.#isWaking = true
    setImmediate(() => {
      this.#isWaking = false
      this.#adjust()
      this.#wakeReader?.()
    })
  }

  #adjust(): void {
    if (this.#adjusting || this.revoked.aborted || this.#hasFailed || this.#intake.advise() === undefined) return
    if (this.#consumerTag !== undefined && !this.#consumers.mayFollow) return
    this.#adjusting = this.#replaceConsumer()
      .catch((error: unknown) => {
        if (this.revoked.aborted || this.#hasFailed) return
        this.#hasFailed = true
        this.#environment.log('warn', 'consuming a queue failed', { ...this.#labels, error: describeError(error) })
        void this.#channel.close()
      })
      .finally(() => {
        this.#adjusting = undefined
        this.#adjust()
        this.#wakeReader?.()
      })
  }

  async #replaceConsumer(): Promise<void> {
    await this.#endConsumer()
    const prefetch = this.#intake.advise()
    if (!prefetch || this.revoked.aborted) return
    await this.#channel.basicQos({ prefetchCount: prefetch })
    this.#intake.begun(prefetch)
    const consumer = this.#consumers.next()
    await this.#channel.basicConsume({ queue: this.#from.queue, consumerTag: consumer.name }, (message) => this.#deliver(message, consumer))
    this.#consumerTag = consumer.name
  }

  /** What it was sent before it ended still comes, and stays with this channel. */
  async #endConsumer(): Promise<void> {
    const consumerTag = this.#consumerTag
    if (consumerTag === undefined) return
    this.#consumerTag = undefined
    await this.#channel.basicCancel({ consumerTag })
    this.#intake.begun(0)
  }
}
