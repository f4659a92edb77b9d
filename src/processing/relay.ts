import type { RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import { encodeMessage } from '../transport/wire.ts'
import type { DeadLetter } from './dead-letter.ts'
import { deadLetterId, failureOf, fingerprintOf, writeDeadLetter } from './dead-letter.ts'
import type { Run, Work, Worker } from './page-runner.ts'

/**
 * Publishes the events of a topic from the log, in their order, so that each is confirmed by the broker before the checkpoint moves past it. After a crash
 * some are published again, with the same ids; none is left out. An event that the broker refuses for good is put aside as a dead letter.
 */
export class Relay implements Worker {
  readonly types: readonly string[]
  readonly #topic: Topic
  readonly #connection: TransportConnection
  readonly #environment: Environment

  constructor(topic: Topic, connection: TransportConnection, environment: Environment) {
    this.types = Object.keys(topic.events)
    this.#topic = topic
    this.#connection = connection
    this.#environment = environment
  }

  begin(): void {}

  async process(all: readonly RecordedEvent[], { lease }: Run): Promise<Work> {
    const events = all.filter((event) => this.#topic.includes(event))
    if (events.length === 0) return { through: all.at(-1)?.position }
    const outcomes = await this.#connection.publish(
      this.#topic.name,
      events.map((event) => encodeMessage(event, this.#topic)),
    )
    const refused: DeadLetter[] = []
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.ok) continue
      const event = events[index]!
      if (!outcome.refused) {
        // Those behind it may have been published: they will be again, and are recognised by their ids.
        const through = events[index - 1]?.position
        return { through, effects: effectsOf(refused), failure: { event, error: outcome.error } }
      }
      this.#environment.log('error', 'an event cannot be published', {
        topic: this.#topic.name,
        position: event.position,
        error: outcome.error,
      })
      this.#environment.metrics.count('headwater_messages_dead_total', 1, { processor: lease.processor })
      refused.push(this.#letterOf(event, lease.processor, outcome.error))
    }
    return { through: all.at(-1)?.position, effects: effectsOf(refused) }
  }

  #letterOf({ position, stream, type }: RecordedEvent, processor: string, error: Error): DeadLetter {
    const at = new Date(this.#environment.clock.now()).toISOString()
    const failure = failureOf(error)
    return {
      id: deadLetterId(processor, position),
      processor,
      state: 'dead',
      key: stream,
      position,
      type,
      message: null,
      origin: null,
      attempts: 1,
      history: [{ at, error: failure.message.slice(0, 500), durationMs: 0 }],
      error: failure,
      fingerprint: fingerprintOf(processor, failure),
      failedAt: at,
      nextAttemptAt: null,
      edit: null,
    }
  }
}

function effectsOf(refused: readonly DeadLetter[]): NonNullable<Work['effects']> {
  return { appends: [], ...(refused.length > 0 && { documents: refused.map(writeDeadLetter) }) }
}
