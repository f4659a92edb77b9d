import type { Environment } from '../observability/environment.ts'
import { describeError } from '../observability/log.ts'
import { Periodic } from '../observability/periodic.ts'
import type { DeadLetters } from '../processing/dead-letters.ts'
import type { ProcessorStatus } from '../processing/processor.ts'

/** From when on somebody should be told. */
export interface AlertThresholds {
  /** Parked and dead messages, of all processors. Default: 1. */
  readonly deadLetters?: number
  /** How long a processor of this process may stand still. Default: 60,000. */
  readonly standstillMs?: number
  /** How far a processor of this process may be behind, in events. Default: without limit. */
  readonly lagEvents?: number
}

export interface Alert {
  readonly kind: 'dead-letters' | 'standstill' | 'lag'
  /** `raised` once, and `cleared` when it is over. */
  readonly state: 'raised' | 'cleared'
  /** What it is about: a processor, or the service. */
  readonly about: string
  readonly message: string
}

const lookEveryMs = 5_000

/** Watches the service and tells of what an operator should look at: each thing once, and once again when it is over. */
export class AlertWatch {
  readonly #service: string
  readonly #statuses: () => readonly ProcessorStatus[]
  readonly #deadLetters: DeadLetters
  readonly #thresholds: Required<AlertThresholds>
  readonly #onAlert: (alert: Alert) => void
  readonly #environment: Environment
  /** The messages of what was raised, by kind and what it is about. */
  readonly #raised = new Map<string, Alert>()
  readonly #failingSinceMs = new Map<string, number>()
  readonly #looking: Periodic

  constructor(parts: {
    readonly service: string
    readonly statuses: () => readonly ProcessorStatus[]
    readonly deadLetters: DeadLetters
    readonly thresholds: AlertThresholds
    readonly onAlert: (alert: Alert) => void
    readonly environment: Environment
  }) {
    this.#service = parts.service
    this.#statuses = parts.statuses
    this.#deadLetters = parts.deadLetters
    this.#thresholds = { deadLetters: 1, standstillMs: 60_000, lagEvents: Infinity, ...parts.thresholds }
    this.#onAlert = parts.onAlert
    this.#environment = parts.environment
    this.#looking = new Periodic({
      environment: parts.environment,
      everyMs: lookEveryMs,
      complaint: 'the state of the service could not be read',
      work: () => this.#look(),
    })
  }

  start(): void {
    this.#looking.start()
  }

  stop(): Promise<void> {
    return this.#looking.stop()
  }

  async #look(): Promise<void> {
    const found = [...this.#standing(), ...(await this.#letters())]
    const keys = new Set(found.map(keyOf))
    for (const alert of found) {
      const isNew = !this.#raised.has(keyOf(alert))
      this.#raised.set(keyOf(alert), alert)
      if (isNew) this.#tell(alert)
    }
    for (const [key, alert] of this.#raised) {
      if (keys.has(key)) continue
      this.#raised.delete(key)
      this.#tell({ ...alert, state: 'cleared' })
    }
  }

  *#standing(): Iterable<Alert> {
    const nowMs = this.#environment.clock.now()
    const { standstillMs, lagEvents: maxLag } = this.#thresholds
    for (const { processor, failure, lagEvents = 0 } of this.#statuses()) {
      // While it tries again it is not failing for a moment; the failure stays until it gets on.
      if (failure !== undefined) this.#failingSinceMs.set(processor, this.#failingSinceMs.get(processor) ?? nowMs)
      else this.#failingSinceMs.delete(processor)
      const forMs = nowMs - (this.#failingSinceMs.get(processor) ?? nowMs)
      if (failure !== undefined && forMs >= standstillMs)
        yield { kind: 'standstill', state: 'raised', about: processor, message: `${processor} stands still: ${failure}` }
      if (lagEvents > maxLag)
        yield { kind: 'lag', state: 'raised', about: processor, message: `${processor} is ${lagEvents} events behind` }
    }
  }

  async #letters(): Promise<readonly Alert[]> {
    const { deadLetters: threshold } = this.#thresholds
    const { documents, next } = await this.#deadLetters.list({ state: ['parked', 'dead'] }, { limit: Math.min(10_000, threshold + 100) })
    this.#environment.metrics.gauge('headwater_dead_letters', documents.length)
    const oldest = documents.reduce((first, { failedAt }) => (failedAt !== null && failedAt < first ? failedAt : first), '9999')
    const ageMs = documents.length > 0 ? this.#environment.clock.now() - Date.parse(oldest) : 0
    this.#environment.metrics.gauge('headwater_dead_letter_age_ms', ageMs)
    if (documents.length < threshold) return []
    const count = `${documents.length}${next === undefined ? '' : ' or more'}`
    const message = `${count} messages could not be handled, the oldest since ${oldest}: headwater dead-letters groups`
    return [{ kind: 'dead-letters', state: 'raised', about: this.#service, message }]
  }

  #tell(alert: Alert): void {
    try {
      this.#onAlert(alert)
    } catch (error) {
      this.#environment.log('error', 'onAlert has thrown', { error: describeError(error) })
    }
  }
}

function keyOf({ kind, about }: Alert): string {
  return `${kind}\n${about}`
}
