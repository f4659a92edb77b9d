import type { RecordedEvent } from '../message/event.ts'
import type { WriteSet } from '../storage/write-set.ts'
import type { Lease } from './lease-keeper.ts'
import type { Page } from './log-source.ts'
import { LogSource, refuseCheckpointBeyondLog } from './log-source.ts'
import type { ProcessingContext, Runner, Tenure } from './processor.ts'

/** What is done with the log page by page, in order: the fold of a projection. */
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
  readonly effects?: Omit<WriteSet, 'checkpoint'> | undefined
  /** True when the effects are held back by the worker: the checkpoint stays where it is until they are committed. */
  readonly isHeldBack?: boolean
  /** True when the effects and the checkpoint are in the store already, in a transaction of the worker's own. */
  readonly committed?: boolean
  readonly failure?: { readonly event: RecordedEvent; readonly error: unknown }
}

/** How long a checkpoint that moved without any effect may stay unsaved. */
const idleSaveMs = 200
/** How long effects may be held back, and with them the checkpoint: so much work is done again after a crash. */
const heldBackForMs = 1_000

const nothing: Omit<WriteSet, 'checkpoint'> = { appends: [] }

/** Gives a worker the log page by page, and commits what it makes of each. An event that fails is tried again until it does not: nothing is skipped. */
export class PageRunner implements Runner {
  readonly #worker: Worker
  readonly #context: ProcessingContext

  constructor(worker: Worker, context: ProcessingContext) {
    this.#worker = worker
    this.#context = context
  }

  async run(tenure: Tenure): Promise<void> {
    const { store, tail } = this.#context
    await refuseCheckpointBeyondLog(store, tenure.lease)
    const position = (await this.#worker.begin(tenure.lease)) ?? tenure.lease.position
    await new PageRun(this.#worker, this.#context, tenure, position).run(new LogSource(store, tail, this.#worker.types))
  }
}

class PageRun {
  readonly #worker: Worker
  readonly #context: ProcessingContext
  readonly #tenure: Tenure
  #position: number
  #saved: number
  #savedAtMs: number
  #isHeldBack: boolean

  constructor(worker: Worker, context: ProcessingContext, tenure: Tenure, position: number) {
    this.#worker = worker
    this.#context = context
    this.#tenure = tenure
    this.#position = position
    this.#saved = tenure.lease.position
    this.#savedAtMs = this.#nowMs
    this.#isHeldBack = position > tenure.lease.position
    tenure.moved(position)
  }

  async run(source: LogSource): Promise<void> {
    const { tail } = this.#context
    const { lease, signal } = this.#tenure
    for await (const page of source.pages(this.#position, signal)) {
      await this.#processPage(page)
      if (signal.aborted) break
      if (this.#isHeldBack && this.#nowMs - this.#savedAtMs >= heldBackForMs) await this.#save()
      if (page.events.length > 0 || page.through < tail.head) continue
      if (this.#isHeldBack) {
        await this.#worker.complete?.(signal)
        if (signal.aborted) break
        await this.#save()
      }
      await this.#worker.caughtUp?.(page.through)
      await this.#tenure.recover()
      this.#tenure.live()
      if (this.#saved < this.#position) {
        await tail.grown(page.through, idleSaveMs, signal)
        if (tail.head === page.through) await this.#save()
      } else await tail.grown(page.through, Infinity, signal)
    }
    if (!lease.lost.aborted && this.#saved < this.#position) await this.#save()
  }

  async #processPage(page: Page): Promise<void> {
    const { lease, signal } = this.#tenure
    let next = 0
    while (next < page.events.length && !signal.aborted) {
      const events = next === 0 ? page.events : page.events.slice(next)
      const work = await this.#worker.process(events, { signal, lease, attempt: this.#tenure.attempt })
      const { through, effects, failure } = work
      if (through !== undefined) {
        this.#isHeldBack = work.isHeldBack ?? false
        if (!this.#isHeldBack) {
          if (!work.committed) await this.#commit(through, effects)
          this.#setSaved(through)
        }
        const done = events.findIndex(({ position }) => position > through)
        const count = done < 0 ? events.length : done
        next += count
        this.#moved(through)
        this.#context.store.environment.metrics.count('headwater_processor_events_total', count, { processor: lease.processor })
        await this.#tenure.recover()
      }
      if (failure) await this.#tenure.stumble(failure.error, describePlace(failure.event))
    }
    if (next === page.events.length) this.#moved(Math.max(page.through, this.#position))
  }

  async #save(): Promise<void> {
    const position = this.#position
    const effects = this.#isHeldBack ? this.#worker.heldBack?.() : nothing
    if (!effects) return
    await this.#commit(position, effects)
    this.#setSaved(position)
  }

  #setSaved(position: number): void {
    this.#saved = position
    this.#savedAtMs = this.#nowMs
    this.#isHeldBack = false
  }

  async #commit(position: number, effects: Omit<WriteSet, 'checkpoint'> = nothing): Promise<void> {
    const { processor, epoch } = this.#tenure.lease
    await this.#context.store.commit({ ...effects, checkpoint: { processor, epoch, position } }, { duplicates: 'skip' })
  }

  #moved(position: number): void {
    this.#position = position
    this.#tenure.moved(position)
  }

  get #nowMs(): number {
    return this.#context.store.environment.clock.now()
  }
}

/** Where in the log it is, for whoever looks why a processor stands still. */
export function describePlace({ type, position, stream }: RecordedEvent): string {
  return `${type} at position ${position} (${stream})`
}
