import { InvalidDefinitionError } from '../message/errors.ts'
import type { Environment } from '../observability/environment.ts'

export interface CircuitBreakerOptions {
  /** It opens when so large a part of the latest calls has failed. Default: 0.5. */
  readonly failureRate?: number
  /** Of so many latest calls. Default: 20. */
  readonly window?: number
  /** Fewer calls tell nothing. Default: 5. */
  readonly leastCalls?: number
  /** How long it stays open before one call is let through to probe. Doubles with each probe that fails, up to ten times as long. Default: 10,000. */
  readonly openMs?: number
  /** So many probes must succeed, one after another, for it to close. Default: 2. */
  readonly probes?: number
}

export type BreakerState = 'closed' | 'open' | 'half-open'

/**
 * Guards something that handlers depend on: while it fails, nobody calls it, and what waits for it waits without being tried in vain. Give the same breaker
 * to all handlers that depend on the same thing.
 */
export interface CircuitBreaker {
  readonly name: string
  readonly state: BreakerState
}

/** @throws InvalidDefinitionError */
export function defineCircuitBreaker(name: string, options: CircuitBreakerOptions = {}): CircuitBreaker {
  return new Breaker(name, options)
}

/** Leave to make one call. Whoever has it says once how the call went, or that there was none after all; what it says later is not heard. */
export interface Admission {
  /** A failure that says nothing about the dependency (a bad message) counts as none. */
  ended(hasFailed: boolean): void
  withdraw(): void
}

/** The breaker as the pipeline uses it. One process decides for itself: it sees its own calls only. */
export class Breaker implements CircuitBreaker {
  readonly name: string
  readonly #options: Required<CircuitBreakerOptions>
  readonly #listeners = new Set<() => void>()
  /** Of the latest calls, true where one failed; written round and round. */
  #latest: boolean[] = []
  #next = 0
  #state: BreakerState = 'closed'
  #isProbing = false
  #succeeded = 0
  #openings = 0
  #probeAtMs = 0

  constructor(name: string, options: CircuitBreakerOptions) {
    this.name = name
    this.#options = { failureRate: 0.5, window: 20, leastCalls: 5, openMs: 10_000, probes: 2, ...options }
    const { failureRate, window, leastCalls } = this.#options
    if (!(failureRate > 0 && failureRate <= 1))
      throw new InvalidDefinitionError(`the breaker ${name}: failureRate must be above 0 and at most 1`)
    if (leastCalls > window) throw new InvalidDefinitionError(`the breaker ${name}: leastCalls is above window`)
  }

  get state(): BreakerState {
    return this.#state
  }

  /** Undefined when no call may be made now. */
  admit(environment: Environment): Admission | undefined {
    if (this.#state === 'closed') return this.#admission((hasFailed) => this.#record(hasFailed, environment))
    if (this.#isProbing || environment.clock.now() < this.#probeAtMs) return undefined
    this.#isProbing = true
    if (this.#state === 'open') this.#become('half-open', environment)
    return this.#admission((hasFailed) => this.#probed(hasFailed, environment))
  }

  /** When it is worth asking again, in milliseconds from now; undefined when it is not a matter of time. */
  retryInMs(environment: Environment): number | undefined {
    return this.#state === 'closed' || this.#isProbing ? undefined : Math.max(0, this.#probeAtMs - environment.clock.now())
  }

  /** Calls `listener` when it may let in somebody whom it did not before. Returns how to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  #admission(tell: (hasFailed: boolean | undefined) => void): Admission {
    let hasEnded = false
    const end = (hasFailed: boolean | undefined): void => {
      if (hasEnded) return
      hasEnded = true
      tell(hasFailed)
    }
    return { ended: end, withdraw: () => end(undefined) }
  }

  /** An ordinary call: one that began before the breaker opened and ends now says nothing new. */
  #record(hasFailed: boolean | undefined, environment: Environment): void {
    if (this.#state !== 'closed' || hasFailed === undefined) return
    this.#latest[this.#next++ % this.#options.window] = hasFailed
    if (hasFailed && this.#isTooMuch()) this.#open(environment)
  }

  #probed(hasFailed: boolean | undefined, environment: Environment): void {
    this.#isProbing = false
    if (hasFailed) this.#open(environment)
    else if (hasFailed === false && ++this.#succeeded >= this.#options.probes) this.#close(environment)
    else this.#notify()
  }

  #isTooMuch(): boolean {
    const { failureRate, leastCalls } = this.#options
    const failures = this.#latest.reduce((count, failed) => count + Number(failed), 0)
    return this.#latest.length >= leastCalls && failures >= this.#latest.length * failureRate
  }

  #open(environment: Environment): void {
    const openMs = this.#options.openMs * Math.min(10, 2 ** this.#openings++)
    this.#probeAtMs = environment.clock.now() + openMs
    this.#succeeded = 0
    this.#become('open', environment)
  }

  #close(environment: Environment): void {
    this.#latest = []
    this.#next = 0
    this.#openings = 0
    this.#become('closed', environment)
  }

  #become(state: BreakerState, { log, metrics }: Environment): void {
    this.#state = state
    metrics.gauge('headwater_breaker_open', state === 'closed' ? 0 : 1, { breaker: this.name })
    if (state !== 'half-open') log(state === 'open' ? 'warn' : 'info', `a circuit breaker is ${state}`, { breaker: this.name })
    this.#notify()
  }

  #notify(): void {
    for (const listener of this.#listeners) listener()
  }
}
