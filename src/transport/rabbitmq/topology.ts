import type { Channel } from 'rabbitmq-client'
import { InvalidDefinitionError } from '../../message/errors.ts'
import type { Log } from '../../observability/log.ts'
import { describeError } from '../../observability/log.ts'
import { TopicMismatchError, TransportUnavailableError, UnknownTopicError, UnsupportedByTransportError } from '../errors.ts'
import type { StartAt, TopicSpec } from '../port.ts'
import type { Link } from './link.ts'
import type { ExchangeType, RabbitMqBinding, RabbitMqTopicOptions, Settings } from './options.ts'
import { fitsShortText, highestPriority, maxShortTextBytes } from './wire.ts'

/** A reply of the broker that names what differs: the argument, what was wanted and what is there. */
const inequivalent = /inequivalent arg '([^']*)'.*received (.*?) but current is (.*)$/s

export function queueOf(topic: string, group: string): string {
  return `${topic}.${group}`
}

/**
 * Exchanges and queues: a topic is a durable exchange, a group is a durable queue that is bound to it. A user who may make none of them can use those that
 * an operator has made.
 */
export class Topology {
  readonly #link: Link
  readonly #settings: Settings
  readonly #log: Log
  /** 4.0 and later end a message's life after 20 deliveries by default; before there was no limit, and no way to say so. */
  readonly #hasDeliveryLimit: boolean
  /** Queues whose own limit was looked for. */
  readonly #lookedForLimit = new Set<string>()

  constructor(link: Link, settings: Settings, brokerVersion: string, log: Log) {
    this.#link = link
    this.#settings = settings
    this.#log = log
    this.#hasDeliveryLimit = Number.parseInt(brokerVersion, 10) >= 4
  }

  async ensureTopic({ name, retentionMs, settings = {} }: TopicSpec): Promise<void> {
    if (retentionMs !== undefined)
      throw new UnsupportedByTransportError(`RabbitMQ keeps no messages by time (retentionMs of the topic ${name})`)
    for (const setting of Object.keys(settings))
      if (setting !== 'type')
        throw new UnsupportedByTransportError(`RabbitMQ's topics have no setting ${setting}, only type (topic ${name})`)
    checkName(name)
    try {
      await this.#declareExchange(name, settings['type'] ?? this.#typeOf(name))
    } catch (error) {
      const mismatch = mismatchIn(error)
      if (mismatch) throw new TopicMismatchError(name, ...mismatch)
      if (codeOf(error) === 'ACCESS_REFUSED' && (await this.hasTopic(name))) return
      throw unavailable(`the topic ${name} could not be made`, error)
    }
  }

  /** True when the group was made, false when it was there. */
  async ensureGroup(topic: string, group: string, startAt: StartAt): Promise<boolean> {
    const queue = queueOf(topic, group)
    checkName(queue)
    const bindings = bindingsOf(this.#settings.topics[topic], this.#typeOf(topic), topic, group)
    await this.#checkExchange(topic)
    if (await this.hasQueue(queue)) {
      await this.#lookForLimit(queue, topic)
      await this.#bind(queue, topic, bindings).catch((error: unknown) => {
        if (codeOf(error) !== 'ACCESS_REFUSED') throw unavailable(`the queue ${queue} could not be bound to ${topic}`, error)
        this.#log('info', 'a queue is consumed as it is bound: this user may not bind it', { topic, queue })
      })
      return false
    }
    if (startAt.at !== 'end')
      throw new UnsupportedByTransportError(
        `RabbitMQ keeps no messages for groups that are not there yet: ${group} of ${topic} can only begin at the end`,
      )
    await this.#declareQueue(queue, topic)
    await this.#bind(queue, topic, bindings).catch((error: unknown) => {
      throw unavailable(`the queue ${queue} could not be bound to ${topic}`, error)
    })
    return true
  }

  hasQueue(queue: string): Promise<boolean> {
    return this.readyIn(queue).then((ready) => ready !== undefined)
  }

  /** The messages that wait in the queue, without those that were delivered and not acknowledged; undefined when there is no such queue. */
  async readyIn(queue: string): Promise<number | undefined> {
    return (await this.lookAt(queue))?.messageCount
  }

  /** Consumers of a quorum queue that have ended count for as long as they hold messages. Undefined when there is no such queue. */
  async lookAt(queue: string): Promise<{ readonly messageCount: number; readonly consumerCount: number } | undefined> {
    try {
      return await this.#link.using((channel) => channel.queueDeclare({ queue, passive: true }))
    } catch (error) {
      if (codeOf(error) === 'NOT_FOUND') return undefined
      throw unavailable(`the queue ${queue} could not be looked at`, error)
    }
  }

  async hasTopic(topic: string): Promise<boolean> {
    try {
      await this.#link.using((channel) => channel.exchangeDeclare({ exchange: topic, passive: true }))
      return true
    } catch (error) {
      if (codeOf(error) === 'NOT_FOUND') return false
      throw unavailable(`the topic ${topic} could not be looked at`, error)
    }
  }

  /** A wrong type would make bindings mean something else, silently. Other differences are the operator's choice, as is a user who may not declare. */
  async #checkExchange(topic: string): Promise<void> {
    if (!(await this.hasTopic(topic))) throw new UnknownTopicError('RabbitMQ', topic)
    if (!this.#settings.topics[topic]?.exchange && this.#settings.topics[topic]?.bindings) return
    await this.#declareExchange(topic, this.#typeOf(topic)).catch((error: unknown) => {
      const mismatch = mismatchIn(error)
      if (mismatch?.[0] === 'type') throw new TopicMismatchError(topic, ...mismatch)
      if (!mismatch && codeOf(error) !== 'ACCESS_REFUSED') throw unavailable(`the topic ${topic} could not be looked at`, error)
    })
  }

  #declareExchange(exchange: string, type: string): Promise<void> {
    return this.#link.using((channel) => channel.exchangeDeclare({ exchange, type, durable: true }))
  }

  async #declareQueue(queue: string, topic: string): Promise<void> {
    try {
      await this.#tryToDeclareQueue(queue, topic)
    } catch (error) {
      const mismatch = mismatchIn(error)
      if (!mismatch) throw unavailable(`the queue ${queue} could not be made`, error)
      // Somebody else made it at the same time, with other settings.
      this.#log('warn', 'a queue is there with other settings', { queue, setting: mismatch[0], wanted: mismatch[1], actual: mismatch[2] })
    }
  }

  async #tryToDeclareQueue(queue: string, topic: string): Promise<void> {
    const kind: Readonly<Record<string, string | number>> = this.#settings.priorities
      ? { 'x-queue-type': 'classic', 'x-max-priority': highestPriority }
      : { 'x-queue-type': 'quorum', ...(this.#hasDeliveryLimit && { 'x-delivery-limit': -1 }) }
    const given = this.#settings.topics[topic]?.queueArguments
    await this.#link.using((channel) => channel.queueDeclare({ queue, durable: true, arguments: { ...kind, ...given } }))
  }

  /** A queue that was made before 4.0, or by somebody else, has the limit that the broker has by default. What differs is told of a second declaration only. */
  async #lookForLimit(queue: string, topic: string): Promise<void> {
    if (!this.#hasDeliveryLimit || this.#lookedForLimit.has(queue)) return
    this.#lookedForLimit.add(queue)
    await this.#tryToDeclareQueue(queue, topic).catch((error: unknown) => {
      const [setting, , actual] = mismatchIn(error) ?? []
      if (setting !== 'x-delivery-limit' || actual !== 'none') return
      const text = 'RabbitMQ drops a message of this queue that came back 20 times, unless a policy says otherwise: delivery-limit -1'
      this.#log('warn', text, { topic, queue })
    })
  }

  #bind(queue: string, topic: string, bindings: readonly RabbitMqBinding[]): Promise<void> {
    return this.#link.using(async (channel) => {
      for (const binding of bindings) await bindQueue(channel, queue, topic, binding)
    })
  }

  #typeOf(topic: string): ExchangeType {
    return this.#settings.topics[topic]?.exchange ?? 'topic'
  }
}

function bindQueue(
  channel: Channel,
  queue: string,
  exchange: string,
  { routingKey = '', headers, match = 'all' }: RabbitMqBinding,
): Promise<void> {
  return channel.queueBind({ queue, exchange, routingKey, ...(headers && { arguments: { 'x-match': match, ...headers } }) })
}

function bindingsOf(
  options: RabbitMqTopicOptions | undefined,
  type: ExchangeType,
  topic: string,
  group: string,
): readonly RabbitMqBinding[] {
  const given = options?.bindings?.[group]
  if (given) return given
  if (type === 'direct')
    throw new InvalidDefinitionError(
      `the topic ${topic} is a direct exchange: say in its bindings which routing keys the group ${group} gets`,
    )
  // Everything: a topic exchange by this key, a headers exchange because no header must be equal, a fanout exchange anyway.
  return [type === 'topic' ? { routingKey: '#' } : type === 'headers' ? { headers: {} } : {}]
}

/** The client library would cut longer names off. */
function checkName(name: string): void {
  if (!fitsShortText(name))
    throw new InvalidDefinitionError(`RabbitMQ takes names of at most ${maxShortTextBytes} bytes: ${name.slice(0, 60)}…`)
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

function mismatchIn(error: unknown): [setting: string, wanted: string, actual: string] | undefined {
  const found = codeOf(error) === 'PRECONDITION_FAILED' && error instanceof Error ? inequivalent.exec(error.message) : null
  return found ? [found[1] ?? '', found[2] ?? '', found[3] ?? ''] : undefined
}

export function unavailable(what: string, cause: unknown): TransportUnavailableError {
  return new TransportUnavailableError(`RabbitMQ: ${what}: ${describeError(cause)}`, { cause })
}
