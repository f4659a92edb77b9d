import type { Environment } from '../../observability/environment.ts'
import type { Labels } from '../../observability/metrics.ts'
import type { PlacedRecord } from './client/sender.ts'
import type { PublishOutcome } from '../port.ts'

/** A call of `publish`, and how far it has come. One promise a call rather than one a message. */
export interface Call {
  readonly outcomes: PublishOutcome[]
  readonly startedMs: number
  open: number
  readonly settle: (outcomes: readonly PublishOutcome[]) => void
}

/** A message on its way. */
export interface Waiting extends PlacedRecord {
  readonly id: string
  readonly call: Call
  readonly index: number
  readonly deadlineMs: number
  readonly keyText: string | undefined
}

const ok: PublishOutcome = { ok: true }

/** Tells callers, and the metrics, what became of messages. */
export class PublishReport {
  readonly #environment: Environment
  readonly #labels: Labels

  constructor(environment: Environment, topic: string) {
    this.#environment = environment
    this.#labels = { transport: 'kafka', topic }
  }

  succeed(records: readonly Waiting[]): void {
    if (records.length === 0) return
    for (const { call, index } of records) this.#settle(call, index, ok)
    this.#environment.metrics.count('headwater_transport_published_total', records.length, this.#labels)
  }

  fail(records: readonly Waiting[], error: Error, refused: boolean): void {
    if (records.length === 0) return
    for (const { call, index } of records) this.#settle(call, index, { ok: false, refused, error })
    this.#environment.metrics.count('headwater_transport_publish_failures_total', records.length, this.#labels)
  }

  #settle(call: Call, index: number, outcome: PublishOutcome): void {
    call.outcomes[index] = outcome
    if (--call.open > 0) return
    const { clock, metrics } = this.#environment
    metrics.duration('headwater_transport_publish_duration_ms', clock.now() - call.startedMs, this.#labels)
    call.settle(call.outcomes)
  }
}
