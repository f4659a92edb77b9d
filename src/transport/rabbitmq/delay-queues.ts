import type { Clock } from '../../message/clock.ts'
import { UnknownTopicError } from '../errors.ts'
import { delayedName, delayedPrefix, dueName, roundUp } from './delayed-name.ts'
import type { Link } from './link.ts'
import { unavailable, type Topology } from './topology.ts'

/**
 * The longest delay. What waits for longer belongs into the store, where it can be seen and withdrawn: a message in a queue can be neither. The broker itself
 * would count to 49 days.
 */
export const maxDelayMs: number = 24 * 3_600_000
/** How long a queue stays that nobody publishes to any more, after its last message is due. */
const unusedMs = 24 * 3_600_000
/** The broker does not count publishing as use, only declaring. */
const renewAfterMs = 600_000

/**
 * Makes the queues in which messages wait. Such a queue has no consumers; what has been in it for its time is dead-lettered, that is published on its topic
 * with the routing key that it had, and forgotten only when the queues of all groups have confirmed it. A message that no group wants would be tried again for ever,
 * and in the way of others: beside the topic there is a queue that takes everything and keeps nothing.
 */
export class DelayQueues {
  readonly #link: Link
  readonly #topology: Topology
  readonly #clock: Clock
  /** By name, when each was declared. */
  readonly #declared = new Map<string, { readonly atMs: number; readonly done: Promise<void> }>()

  constructor(link: Link, topology: Topology, clock: Clock) {
    this.#link = link
    this.#topology = topology
    this.#clock = clock
  }

  /** @throws UnknownTopicError, TransportUnavailableError */
  async ensure(topic: string, delaysMs: readonly number[]): Promise<void> {
    const nowMs = this.#clock.now()
    const wanted = new Map(delaysMs.map((delayMs) => [delayedName(topic, delayMs), roundUp(delayMs)]))
    for (const [name, delayMs] of wanted) {
      const known = this.#declared.get(name)
      if (known && nowMs - known.atMs < renewAfterMs) continue
      const done = this.#declare(topic, name, delayMs)
      done.catch(() => this.#declared.delete(name))
      this.#declared.set(name, { atMs: nowMs, done })
    }
    for (const name of wanted.keys()) await this.#declared.get(name)?.done
  }

  /** Something went wrong: perhaps somebody has removed them. */
  forget(topic: string): void {
    for (const name of this.#declared.keys()) if (name.startsWith(delayedPrefix(topic))) this.#declared.delete(name)
  }

  async #declare(topic: string, name: string, delayMs: number): Promise<void> {
    if (!(await this.#topology.hasTopic(topic))) throw new UnknownTopicError('RabbitMQ', topic)
    const due = dueName(topic)
    const queue = {
      'x-queue-type': 'quorum',
      'x-message-ttl': delayMs,
      'x-expires': delayMs + unusedMs,
      'x-dead-letter-exchange': due,
      'x-dead-letter-strategy': 'at-least-once',
      'x-overflow': 'reject-publish',
    } as const
    try {
      await this.#link.using(async (channel) => {
        await channel.exchangeDeclare({ exchange: due, type: 'fanout', durable: true })
        await channel.exchangeBind({ source: due, destination: topic, routingKey: '' })
        await channel.queueDeclare({ queue: due, durable: true, arguments: { 'x-queue-type': 'classic', 'x-message-ttl': 0 } })
        await channel.queueBind({ queue: due, exchange: due, routingKey: '' })
        // Goes with its queue: what is published later finds nothing and is not lost.
        await channel.exchangeDeclare({ exchange: name, type: 'fanout', durable: true, autoDelete: true })
        await channel.queueDeclare({ queue: name, durable: true, arguments: queue })
        await channel.queueBind({ queue: name, exchange: name, routingKey: '' })
      })
    } catch (error) {
      throw unavailable(`the queue ${name} for messages that are to come later could not be made`, error)
    }
  }
}
