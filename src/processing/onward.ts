import { uuidFrom } from '../message/id.ts'
import type { Environment } from '../observability/environment.ts'
import { describeError } from '../observability/log.ts'
import type { OutgoingMessage, TransportConnection } from '../transport/port.ts'
import type { EarlierAttempts } from './dead-letter.ts'
import { attemptFailed } from './dead-letter.ts'
import type { Forwarded } from './forwarded-message.ts'
import { messageForDeadLetters, messageForRetry } from './forwarded-message.ts'
import type { FailureReport } from './held-lanes.ts'
import type { RetryStage } from './retry-topics.ts'
import { deadLetterTopic } from './retry-topics.ts'

/** What became of a message that was to be sent on: it is in the next retry topic, or there is no other attempt. */
export type SentOn = { readonly how: 'sent-on' } | { readonly how: 'given-up'; readonly before: EarlierAttempts }

export interface OnwardParts {
  readonly stage: RetryStage
  readonly processor: string
  readonly group: string
  readonly connection: TransportConnection
  readonly environment: Environment
  /** What an event was made of. */
  readonly forwardedOf: (event: FailureReport['event']) => Forwarded
}

/** Sends messages that failed to where they are tried next. */
export class Onward {
  readonly #parts: OnwardParts

  constructor(parts: OnwardParts) {
    this.#parts = parts
  }

  /** Which attempt a message gets here. */
  get attempt(): number {
    return this.#parts.stage.attempt
  }

  /**
   * Resolves when the broker has confirmed the message, in the next retry topic, or as a copy for other programs when it is given up. Rejects when the broker
   * could not confirm it, which is no reason to give anything up; it may have been written all the same, under the same id.
   */
  async send(report: FailureReport, isPermanent: boolean): Promise<SentOn> {
    const { connection, environment, forwardedOf, group, stage } = this.#parts
    const { event, error } = report
    const { original, history } = forwardedOf(event)
    const forwarding = {
      original,
      id: original.id ?? event.id,
      group,
      error,
      history: [...history, attemptFailed(report)],
      timeMs: original.timeMs ?? event.time.getTime(),
    }
    const { next } = stage
    if (next && !isPermanent) {
      const delayMs = Math.min(next.delayMs, connection.capabilities.maxDelayMs)
      const message = messageForRetry({ ...forwarding, attempt: next.attempt }, environment.clock.now() + next.delayMs)
      // What the broker cannot put off so long waits the rest of its time in the one who reads it.
      if (await this.#publish(next.topic.name, delayMs > 0 ? { ...message, delayMs } : message)) return { how: 'sent-on' }
    }
    // All groups share this topic, and a broker that drops repetitions must not take one's copy for another's.
    const id = uuidFrom(group, event.source, forwarding.id)
    await this.#publish(deadLetterTopic(stage.first).name, messageForDeadLetters({ ...forwarding, id, attempt: stage.attempt }))
    return { how: 'given-up', before: { attempts: stage.attempt - 1, history, failedAt: history[0]?.at ?? null } }
  }

  /** False when the broker will never take it. */
  async #publish(topic: string, message: OutgoingMessage): Promise<boolean> {
    const { connection, environment, processor } = this.#parts
    const outcome = (await connection.publish(topic, [message]))[0]!
    if (outcome.ok) return true
    if (!outcome.refused) throw outcome.error
    environment.log('error', 'a failed message cannot be sent on', {
      processor,
      topic,
      id: message.id,
      error: describeError(outcome.error),
    })
    return false
  }
}
