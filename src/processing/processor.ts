import { describeError } from '../observability/log.ts'
import type { Backoff } from '../storage/backoff.ts'
import { backoffMs } from '../storage/backoff.ts'
import { FencedError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { Lease, LeaseKeeper } from './lease-keeper.ts'
import type { LogTail } from './log-tail.ts'
import type { StartPosition } from './start-position.ts'
import { resolveStartPosition } from './start-position.ts'

/** What a processor does while it has its lease: reads a source from the checkpoint, works, and commits effects and checkpoint together. */
export interface Runner {
  /**
   * Works until `tenure.signal` is aborted, then finishes what it has begun and returns. When it rejects, it is called again after a while, under a
   * lease of its own, with the checkpoint as it is then.
   */
  run(tenure: Tenure): Promise<void>
}

/** One time of holding the lease. */
export interface Tenure {
  readonly lease: Lease
  /** Aborted when the processor is to stop, or has lost its lease. */
  readonly signal: AbortSignal
  /** 1, and counts up while the processor stumbles without getting on. */
  readonly attempt: number
  /** Everything up to here has been processed, and is committed. */
  moved(position: number): void
  /** All there is has been processed. */
  live(): void
  /** It cannot go on: says why, and resolves when it may be tried again. */
  stumble(error: unknown, where?: string): Promise<void>
  /** It went on after it had stumbled. */
  recover(): Promise<void>
}

export type ProcessorState = 'starting' | 'standby' | 'catching-up' | 'live' | 'failing' | 'stopped'

export interface ProcessorStatus {
  readonly processor: string
  readonly state: ProcessorState
  /** Up to here everything has been processed by this process. */
  readonly position: number
  /** Behind the end of the log; undefined while another process runs it, or nobody yet, and for a topic, whose broker knows. */
  readonly lagEvents: number | undefined
  /** Why it stands still, while `state` is `failing`. */
  readonly failure: string | undefined
  readonly attempt: number
}

export interface ProcessorOptions {
  readonly name: string
  readonly runner: Runner
  /** Where a processor begins that has no checkpoint yet. */
  readonly startAt: StartPosition
  /** Whether it takes the lease from whoever has it, since a broker has given the work to this process. */
  readonly takesOver?: boolean
  /** False where its positions are not those of the log. Default: true. */
  readonly isOnLog?: boolean
  /** Between attempts. Default: 100 ms, doubling, at most 30 s. */
  readonly backoff?: Backoff
}

export interface ProcessingContext {
  readonly store: EventStore
  readonly tail: LogTail
  readonly leases: LeaseKeeper
}

/**
 * One processor: takes its lease or stands by, and lets its runner run. When that fails, this processor alone stops there, says so, and tries again
 * with backoff, for ever.
 */
export class Processor {
  readonly name: string
  readonly #options: ProcessorOptions
  readonly #context: ProcessingContext
  readonly #stopping = new AbortController()
  readonly #watchers = new Set<(position: number) => void>()
  #state: ProcessorState = 'starting'
  #position = 0
  #failure: string | undefined
  #attempt = 1
  #takesOverFromMs = 0
  #running: Promise<void> | undefined

  constructor(options: ProcessorOptions, context: ProcessingContext) {
    this.name = options.name
    this.#options = options
    this.#context = context
  }

  get status(): ProcessorStatus {
    const isOurs = this.#state !== 'starting' && this.#state !== 'standby'
    const lagEvents = isOurs ? this.#lagEvents : undefined
    return { processor: this.name, state: this.#state, position: this.#position, lagEvents, failure: this.#failure, attempt: this.#attempt }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Lets what is at hand be finished and its effects be committed, gives the lease back. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.#state = 'stopped'
  }

  /** Calls `watcher` with each position that has been processed and committed. Returns how to stop. */
  onProgress(watcher: (position: number) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }

  async #run(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      let lease: Lease | undefined
      try {
        lease = await this.#claim()
        if (lease) await this.#options.runner.run(this.#tenureOf(lease))
      } catch (error) {
        if (error instanceof FencedError || lease?.lost.aborted) {
          this.#context.store.environment.log('info', 'another process has taken over', { processor: this.name })
          // Who has lost what a broker gave it is about to be told; meanwhile it must not take it back, unless nobody has it, as after a reset.
          this.#takesOverFromMs = this.#context.store.environment.clock.now() + this.#context.leases.ttlMs
        } else {
          await this.#stumble(lease, error)
        }
      } finally {
        if (lease) await this.#release(lease)
      }
    }
  }

  /** If that fails, others wait until the lease expires. */
  async #release(lease: Lease): Promise<void> {
    const { leases, store } = this.#context
    await leases
      .release(lease)
      .catch((error: unknown) =>
        store.environment.log('warn', 'a lease could not be given back', { processor: this.name, error: describeError(error) }),
      )
  }

  async #claim(): Promise<Lease | undefined> {
    const { store, leases } = this.#context
    const startAt = await resolveStartPosition(store, this.#options.startAt)
    while (!this.#stopping.signal.aborted) {
      const takesOver = this.#options.takesOver === true && store.environment.clock.now() >= this.#takesOverFromMs
      const claim = await leases.claim(this.name, startAt, { takesOver })
      if ('lost' in claim) return claim
      this.#state = 'standby'
      await store.environment.clock.sleep(claim.retryInMs, this.#stopping.signal)
    }
    return undefined
  }

  #tenureOf(lease: Lease): Tenure {
    const attempt = (): number => this.#attempt
    this.#moved(lease.position)
    this.#state = 'catching-up'
    return {
      lease,
      signal: AbortSignal.any([lease.lost, this.#stopping.signal]),
      get attempt() {
        return attempt()
      },
      moved: (position) => this.#moved(position),
      live: () => {
        this.#state = 'live'
      },
      stumble: (error, where) => this.#stumble(lease, error, where),
      recover: () => this.#recover(lease),
    }
  }

  #moved(position: number): void {
    const { metrics } = this.#context.store.environment
    this.#position = position
    metrics.gauge('headwater_processor_position', position, { processor: this.name })
    const lagEvents = this.#lagEvents
    if (lagEvents !== undefined) metrics.gauge('headwater_processor_lag_events', lagEvents, { processor: this.name })
    for (const watcher of this.#watchers) watcher(position)
  }

  get #lagEvents(): number | undefined {
    return this.#options.isOnLog === false ? undefined : Math.max(0, this.#context.tail.head - this.#position)
  }

  async #recover(lease: Lease): Promise<void> {
    if (this.#failure === undefined) return
    this.#failure = undefined
    this.#attempt = 1
    this.#state = 'catching-up'
    this.#context.store.environment.log('info', 'the processor goes on', { processor: this.name, position: this.#position })
    await this.#report(lease, null)
  }

  async #stumble(lease: Lease | undefined, error: unknown, where?: string): Promise<void> {
    const { clock, log, metrics, random } = this.#context.store.environment
    const reason = describeError(error)
    this.#failure = where === undefined ? reason : `${where}: ${reason}`
    this.#state = 'failing'
    const retryInMs = backoffMs(this.#attempt - 1, this.#options.backoff ?? { firstMs: 100, maxMs: 30_000 }, random)
    metrics.count('headwater_processor_failures_total', 1, { processor: this.name })
    log('error', 'the processor stands still', {
      processor: this.name,
      failure: this.#failure,
      attempt: this.#attempt,
      retryInMs: Math.round(retryInMs),
    })
    this.#attempt++
    if (lease) await this.#report(lease, this.#failure)
    await clock.sleep(retryInMs, AbortSignal.any([this.#stopping.signal, ...(lease ? [lease.lost] : [])]))
  }

  /** For operators in other processes; that it cannot be written is no reason to stop. */
  async #report(lease: Lease, failure: string | null): Promise<void> {
    await this.#context.store.driver.processors.report({ processor: this.name, epoch: lease.epoch, failure }).catch((error: unknown) => {
      this.#context.store.environment.log('warn', 'the state of a processor could not be stored', {
        processor: this.name,
        error: describeError(error),
      })
    })
  }
}
