import type { Environment } from '../observability/environment.ts'
import type { MetricName } from '../observability/metrics.ts'
import type { Effect } from './checkpoint-writer.ts'
import type { EarlierAttempts } from './dead-letter.ts'
import { writeDeadLetter } from './dead-letter.ts'
import type { FailureReport, HeldLanes } from './held-lanes.ts'
import type { LaneOptions } from './lane-options.ts'
import { isPermanent, nextAttemptInMs } from './retry.ts'

/** `retryInMs`: to be tried again; `park`: waits for an operator; `give-up`: is put aside alone, or dropped. */
export type FailureDecision = { readonly how: 'retry'; readonly inMs: number } | { readonly how: 'park' } | { readonly how: 'give-up' }

/** Decides what becomes of a message that has failed, and tells whoever should know. */
export class FailurePolicy {
  readonly #options: LaneOptions
  readonly #processor: string
  readonly #environment: Environment
  readonly #held: HeldLanes

  constructor(options: LaneOptions, processor: string, environment: Environment, held: HeldLanes) {
    this.#options = options
    this.#processor = processor
    this.#environment = environment
    this.#held = held
  }

  /** After so many failed attempts, this one included; Infinity when there is to be no other in any case. */
  decide(report: FailureReport, failed: number, firstFailedAtMs: number): FailureDecision {
    const { atMostOnce, retry, whenExhausted } = this.#options
    // What is here and not on the broker was given up before, or held by this handler when it was another one: it has had its attempts.
    if (whenExhausted === 'retry-topics') return { how: 'give-up' }
    const { error, atMs } = report
    const { random } = this.#environment
    const inMs = atMostOnce ? undefined : nextAttemptInMs(retry, { failed, error, sinceFirstFailureMs: atMs - firstFailedAtMs, random })
    if (inMs !== undefined) {
      this.#count('headwater_handler_retries_total')
      return { how: 'retry', inMs }
    }
    if (whenExhausted !== 'park' || atMostOnce) return { how: 'give-up' }
    this.#count('headwater_messages_parked_total')
    this.#tell('a message was given up; its key waits for an operator', report)
    return { how: 'park' }
  }

  /** A message will be tried again elsewhere. */
  sentOn(): void {
    this.#count('headwater_handler_retries_total')
  }

  /** Whether it counts against what the handler depends on: a message that cannot be handled says nothing about that. */
  blamesDependency(error: unknown): boolean {
    return !isPermanent(this.#options.retry, error)
  }

  /** What is written of a message that is given up alone. `letter` is what is known of it already, be it in the store or from retry topics. */
  giveUp(report: FailureReport, letter: EarlierAttempts | undefined): NonNullable<Effect['documents']> {
    const { atMostOnce, keyOf, whenExhausted } = this.#options
    if (atMostOnce || whenExhausted === 'discard') {
      this.#count('headwater_messages_discarded_total')
      this.#tell('a message was given up and discarded', report)
      return letter ? [this.#held.remove(report.event.position)] : []
    }
    this.#count('headwater_messages_dead_total')
    this.#tell('a message was given up', report)
    return [writeDeadLetter(this.#held.letterOf(letter?.key ?? keyOf(report.event), report, letter))]
  }

  #count(metric: MetricName): void {
    this.#environment.metrics.count(metric, 1, { processor: this.#processor })
  }

  #tell(message: string, { event, error }: FailureReport): void {
    const { type, position, stream } = event
    this.#environment.log('error', message, { processor: this.#processor, type, position, stream, error: String(error) })
  }
}
