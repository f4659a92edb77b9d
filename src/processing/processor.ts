import type { RecordedEvent } from '../message/event.ts'
import { describeError } from '../observability/log.ts'
import type { Backoff } from '../storage/backoff.ts'
import { backoffMs } from '../storage/backoff.ts'
import { FencedError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { WriteSet } from '../storage/write-set.ts'
import { CheckpointBeyondLogError } from './errors.ts'
import type { Lease, LeaseKeeper } from './lease-keeper.ts'
import type { LogTail } from './log-tail.ts'
import type { Page } from './log-source.ts'
import { LogSource } from './log-source.ts'
import type { StartPosition } from './start-position.ts'
import { resolveStartPosition } from './start-position.ts'

/** What a processor does with its events: a handler, the fold of a projection, later a saga or a relay. */
export interface Worker {
  /** Undefined: all of them. */
  readonly types: readonly string[] | undefined
  /**
   * Called when a lease was taken: what is remembered of an earlier one is worth nothing. Returns the position to go on from, where that is further than
   * the checkpoint, because what was held back has outlived the process.
   */
  begin(lease: Lease): Promise<number | void> | number | void
  /**
   * Works on the events, in order, as far as it gets; it may stop early to have its effects committed. It does not throw for an event that fails:
   * it returns what comes before that event, and the failure. `attempt` is 1, and counts up while the first event fails.
   */
  process(events: readonly RecordedEvent[], run: Run): Promise<Work>
  /** The effects that `process` has held back so far; asked for when the checkpoint is about to be saved. Undefined: not yet, and it stays where it is. */
  heldBack?(): Work['effects']
  /** Called when all events that there are have been processed, and some effects are held back: for what can only be done at the end. */
  complete?(signal: AbortSignal): Promise<void>
  /** Called when all events that there are have been processed and their effects are committed. */
  caughtUp?(position: number): Promise<void>
}

/** The circumstances of one call of a worker. */
export interface Run {
  readonly signal: AbortSignal
  readonly lease: Lease
  readonly attempt: number
}

export interface Work {
  /** Position of the last event whose effects are included; undefined when the first one failed. */
  readonly through: number | undefined
  readonly effects?: Omit<WriteSet, 'checkpoint'>
  /** True when the effects are held back by the worker: the checkpoint stays where it is until they are committed. */
  readonly isHeldBack?: boolean
  /** True when the effects and the checkpoint are in the store already, in a transaction of the worker's own. */
  readonly committed?: boolean
  readonly failure?: { readonly event: RecordedEvent; readonly error: unknown }
}

export type ProcessorState = 'starting' | 'standby' | 'catching-up' | 'live' | 'failing' | 'stopped'

export interface ProcessorStatus {
  readonly processor: string
  readonly state: ProcessorState
  /** Up to here everything has been processed by this process. */
  readonly position: number
  /** Undefined while another process runs it, or nobody yet. */
  readonly lagEvents: number | undefined
  /** Why it stands still, while `state` is `failing`. */
  readonly failure: string | undefined
  readonly attempt: number
}

export interface ProcessorOptions {
  readonly name: string
  readonly worker: Worker
  /** Where a processor begins that has no checkpoint yet. */
  readonly startAt: StartPosition
  /** Between attempts. Default: 100 ms, doubling, at most 30 s. */
  readonly backoff?: Backoff
}

export interface ProcessingContext {
  readonly store: EventStore
  readonly tail: LogTail
  readonly leases: LeaseKeeper
}

const nothing: Omit<WriteSet, 'checkpoint'> = { appends: [] }

/** How long a checkpoint that moved without any effect may stay unsaved. */
const idleSaveMs = 200
/** How long effects may be held back, and with them the checkpoint: so much work is done again after a crash. */
const heldBackForMs = 1_000

/**
 * One processor: takes its lease or stands by, reads its source from the checkpoint, lets the worker work, and commits effects and checkpoint
 * together. When the worker fails, this processor alone stops there, says so, and tries again with backoff, for ever.
 */
export class Processor {
  readonly name: string
  readonly #options: ProcessorOptions
  readonly #context: ProcessingContext
  readonly #stopping = new AbortController()
  readonly #watchers = new Set<(position: number) => void>()
  #state: ProcessorState = 'starting'
  #position = 0
  #saved = 0
  #savedAtMs = 0
  #isHeldBack = false
  #failure: string | undefined
  #attempt = 1
  #running: Promise<void> | undefined

  constructor(options: ProcessorOptions, context: ProcessingContext) {
    this.name = options.name
    this.#options = options
    this.#context = context
  }

  get status(): ProcessorStatus {
    const isOurs = this.#state !== 'starting' && this.#state !== 'standby'
    const lagEvents = isOurs ? Math.max(0, this.#context.tail.head - this.#position) : undefined
    return { processor: this.name, state: this.#state, position: this.#position, lagEvents, failure: this.#failure, attempt: this.#attempt }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Lets the event at hand be finished and its effects be committed, gives the lease back. */
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
        if (lease) await this.#processUnder(lease)
      } catch (error) {
        if (error instanceof FencedError || lease?.lost.aborted) {
          this.#context.store.environment.log('info', 'another process has taken over', { processor: this.name })
        } else {
          await this.#fail(lease, error)
        }
      } finally {
        if (lease) await this.#context.leases.release(lease).catch(() => undefined)
      }
    }
  }

  async #claim(): Promise<Lease | undefined> {
    const { store, leases } = this.#context
    const startAt = await resolveStartPosition(store, this.#options.startAt)
    while (!this.#stopping.signal.aborted) {
      const claim = await leases.claim(this.name, startAt)
      if ('lost' in claim) return claim
      this.#state = 'standby'
      await store.environment.clock.sleep(claim.retryInMs, this.#stopping.signal)
    }
    return undefined
  }

  async #processUnder(lease: Lease): Promise<void> {
    const { store, tail } = this.#context
    const { head } = await store.log()
    if (lease.position > head) throw new CheckpointBeyondLogError(this.name, lease.position, head)
    const position = (await this.#options.worker.begin(lease)) ?? lease.position
    this.#moved(position)
    this.#setSaved(lease.position)
    this.#isHeldBack = position > lease.position
    this.#state = 'catching-up'
    const signal = AbortSignal.any([lease.lost, this.#stopping.signal])
    for await (const page of new LogSource(store, tail, this.#options.worker.types).pages(position, signal)) {
      await this.#processPage(page, lease, signal)
      if (signal.aborted) break
      if (this.#isHeldBack && store.environment.clock.now() - this.#savedAtMs >= heldBackForMs) await this.#save(lease)
      if (page.events.length > 0 || page.through < tail.head) continue
      if (this.#isHeldBack) {
        await this.#options.worker.complete?.(signal)
        if (signal.aborted) break
        await this.#save(lease)
      }
      await this.#options.worker.caughtUp?.(page.through)
      await this.#recover(lease)
      this.#state = 'live'
      if (this.#saved < this.#position) {
        await tail.grown(page.through, idleSaveMs, signal)
        if (tail.head === page.through) await this.#save(lease)
      } else await tail.grown(page.through, Infinity, signal)
    }
    if (!lease.lost.aborted && this.#saved < this.#position) await this.#save(lease)
  }

  async #processPage(page: Page, lease: Lease, signal: AbortSignal): Promise<void> {
    let next = 0
    while (next < page.events.length && !signal.aborted) {
      const events = next === 0 ? page.events : page.events.slice(next)
      const work = await this.#options.worker.process(events, { signal, lease, attempt: this.#attempt })
      const { through, effects, failure } = work
      if (through !== undefined) {
        this.#isHeldBack = work.isHeldBack ?? false
        if (!this.#isHeldBack) {
          if (!work.committed) await this.#commit(lease, through, effects)
          this.#setSaved(through)
        }
        const done = events.findIndex(({ position }) => position > through)
        const count = done < 0 ? events.length : done
        next += count
        this.#moved(through)
        this.#context.store.environment.metrics.count('headwater_processor_events_total', count, { processor: this.name })
        await this.#recover(lease)
      }
      if (failure) await this.#fail(lease, failure.error, failure.event)
    }
    if (next === page.events.length) this.#moved(Math.max(page.through, this.#position))
  }

  async #save(lease: Lease): Promise<void> {
    const position = this.#position
    const effects = this.#isHeldBack ? this.#options.worker.heldBack?.() : nothing
    if (!effects) return
    await this.#commit(lease, position, effects)
    this.#setSaved(position)
  }

  #setSaved(position: number): void {
    this.#saved = position
    this.#savedAtMs = this.#context.store.environment.clock.now()
    this.#isHeldBack = false
  }

  async #commit(lease: Lease, position: number, effects: Omit<WriteSet, 'checkpoint'> = nothing): Promise<void> {
    const checkpoint = { processor: this.name, epoch: lease.epoch, position }
    await this.#context.store.commit({ ...effects, checkpoint }, { duplicates: 'skip' })
  }

  #moved(position: number): void {
    this.#position = position
    this.#context.store.environment.metrics.gauge('headwater_processor_position', position, { processor: this.name })
    this.#context.store.environment.metrics.gauge('headwater_processor_lag_events', Math.max(0, this.#context.tail.head - position), {
      processor: this.name,
    })
    for (const watcher of this.#watchers) watcher(position)
  }

  async #recover(lease: Lease): Promise<void> {
    if (this.#failure === undefined) return
    this.#failure = undefined
    this.#attempt = 1
    this.#state = 'catching-up'
    this.#context.store.environment.log('info', 'the processor goes on', { processor: this.name, position: this.#position })
    await this.#report(lease, null)
  }

  async #fail(lease: Lease | undefined, error: unknown, event?: RecordedEvent): Promise<void> {
    const { clock, log, metrics, random } = this.#context.store.environment
    const reason = describeError(error)
    this.#failure = event ? `${event.type} at position ${event.position} (${event.stream}): ${reason}` : reason
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
