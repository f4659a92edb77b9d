import type { RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import { Announcements } from './announcements.ts'
import { Attempts } from './attempts.ts'
import type { CheckpointState, Effect } from './checkpoint-writer.ts'
import { CheckpointWriter } from './checkpoint-writer.ts'
import type { Admission } from './circuit-breaker.ts'
import { Departures } from './departures.ts'
import { FailurePolicy } from './failure-policy.ts'
import type { HandlerCall, HandlerCaller } from './handler-call.ts'
import type { FailureReport } from './held-lanes.ts'
import { HeldLanes } from './held-lanes.ts'
import { HeldRunner } from './held-runner.ts'
import { Intake } from './intake.ts'
import type { LaneOptions } from './lane-options.ts'
import type { Lane } from './lanes.ts'
import { Lanes } from './lanes.ts'
import type { MessageSource } from './message-source.ts'
import { describePlace } from './page-runner.ts'
import type { OperatorAction } from './operator-action.ts'
import { prepareDeadLetters } from './operator-action.ts'
import type { ProcessingContext, Tenure } from './processor.ts'
import { Progress } from './progress.ts'
import { ProcessEndedError } from './retry.ts'
import { prepareSequences } from './sequence-store.ts'
import { Suspicion } from './suspicion.ts'
import { WakeUp } from './wake-up.ts'

export interface LaneRunParts {
  readonly caller: HandlerCaller
  readonly source: MessageSource
  readonly options: LaneOptions
  readonly context: ProcessingContext
  readonly tenure: Tenure
  /** The message for which the whole handler waits, if it does. */
  readonly blockedAt: RecordedEvent | undefined
}

/** One time of running a handler in lanes, from taking the lease to losing it or giving it back. */
export class LaneRun {
  readonly #parts: LaneRunParts
  readonly #environment: Environment
  readonly #processor: string
  readonly #held: HeldLanes
  readonly #lanes = new Lanes()
  readonly #attempts: Attempts
  readonly #progress: Progress
  readonly #writer: CheckpointWriter
  readonly #broken = new AbortController()
  /** Aborted when the processor is to stop, has lost its lease, or cannot go on. */
  readonly #signal: AbortSignal
  /** Lanes that are being tried, whether an attempt is under way or about to be. */
  #busy = 0
  readonly #announcements = new Announcements()
  readonly #policy: FailurePolicy
  /** Where failed messages go on to another topic. */
  readonly #departures: Departures | undefined
  readonly #retries: HeldRunner
  readonly #suspicion: Suspicion
  readonly #intake: Intake
  /** Called when nothing is under way any more. */
  #whenIdle: (() => void) | undefined
  readonly #wakeUp: WakeUp
  #hasBegun = false
  #isStopping = false
  #isOver = false

  static async begin(parts: LaneRunParts): Promise<LaneRun> {
    const { context, source, tenure } = parts
    await prepareDeadLetters(context.store)
    if (source.sequenceOrder) await prepareSequences(context.store)
    const isNumbered = source.sequenceOrder !== undefined
    const held = await HeldLanes.load(tenure.lease.processor, context.store, (event) => source.originOf(event), { isNumbered })
    return new LaneRun(parts, held)
  }

  private constructor(parts: LaneRunParts, held: HeldLanes) {
    const { caller, context, options, tenure } = parts
    const { lease } = tenure
    const state = lease.state === undefined ? {} : (JSON.parse(lease.state) as CheckpointState)
    this.#parts = parts
    this.#environment = context.store.environment
    this.#processor = lease.processor
    this.#held = held
    this.#attempts = new Attempts(caller.handler.name, options.timeoutMs, this.#environment)
    this.#signal = AbortSignal.any([tenure.signal, this.#broken.signal])
    // Asked for at each message: to ask the signal, which is made of several, would cost more than the rest.
    this.#signal.addEventListener('abort', () => (this.#isStopping = true), { once: true })
    this.#isStopping = this.#signal.aborted
    this.#progress = parts.source.renumbers
      ? new Progress(state.progress?.through ?? lease.position, undefined)
      : new Progress(lease.position, state.progress)
    this.#suspicion = new Suspicion(lease, state, this.#environment.clock)
    this.#wakeUp = new WakeUp(this.#environment.clock, () => this.#pump())
    this.#writer = new CheckpointWriter({
      tenure,
      store: context.store,
      progress: this.#progress,
      circumstances: () => this.#suspicion.toldWith(this.#announcements.suspects),
      onCommitted: (effects, finished, position) => this.#committed(effects, finished, position),
      onFailed: (error) => this.#broken.abort(error),
    })
    this.#announcements.writeWith(this.#writer)
    this.#policy = new FailurePolicy(options, lease.processor, this.#environment, held)
    this.#retries = new HeldRunner({
      processor: lease.processor,
      caller,
      source: parts.source,
      store: context.store,
      held,
      attempts: this.#attempts,
      announcements: this.#announcements,
      policy: this.#policy,
      writer: this.#writer,
      signal: this.#signal,
      onFree: () => this.#pump(),
    })
    const { onward } = parts.source
    this.#departures =
      onward &&
      new Departures({
        onward,
        policy: this.#policy,
        clock: this.#environment.clock,
        signal: this.#signal,
        finish: (event, documents) => this.#finish(event, { documents }),
        onFailed: (error) => this.#broken.abort(error),
        onFree: () => this.#intake.wake(),
      })
    this.#intake = new Intake({
      processor: lease.processor,
      source: parts.source,
      store: context.store,
      progress: this.#progress,
      writer: this.#writer,
      held,
      atMostOnce: options.atMostOnce,
      signal: this.#signal,
      take: (event) => this.#take(event),
      waiting: () => this.#lanes.count + (this.#departures?.count ?? 0),
      caughtUp: async () => {
        if (this.#progress.openCount === 0) await tenure.recover()
        this.#tellIfLive()
      },
      failed: (error) => this.#broken.abort(error),
    })
  }

  /** Does what an operator asks for; nothing while it cannot yet, or when it is at it already. */
  act(action: OperatorAction): void {
    if (!this.#hasBegun || this.#isOver) return
    void this.#retries.act(action).catch((error: unknown) => this.#broken.abort(error))
  }

  /** Messages that wait behind a failed one, or for another attempt. */
  get heldCount(): number {
    return this.#held.count
  }

  /** Resolves to the message for which the whole handler waits, if there is one. */
  async run(): Promise<RecordedEvent | undefined> {
    const { options, tenure } = this.#parts
    const stopWatching = options.breaker?.onChange(() => this.#pump())
    try {
      if (this.#suspicion.deaths > 0) await this.#writer.flush()
      await this.#retries.blame(this.#suspicion.heldAccused)
      this.#hasBegun = true
      this.#pump()
      await this.#intake.run().catch((error: unknown) => this.#broken.abort(error))
      await this.#settle()
      if (!tenure.lease.lost.aborted) await this.#writer.flush()
      if (options.atMostOnce) this.#reportUntried()
    } finally {
      this.#isOver = true
      this.#writer.close()
      this.#wakeUp.cancel()
      stopWatching?.()
    }
    if (!this.#broken.signal.aborted) return undefined
    const reason: unknown = this.#broken.signal.reason
    if (!(reason instanceof Blocked)) throw reason
    await tenure.stumble(reason.cause, describePlace(reason.event))
    return reason.event
  }

  // ── Handling messages

  #tellIfLive(): void {
    if (this.#intake.isCaughtUp && this.#progress.openCount === 0) this.#parts.tenure.live()
  }

  #take(event: RecordedEvent): void {
    const { options } = this.#parts
    const held = this.#held.size > 0 ? this.#held.get(options.keyOf(event)) : undefined
    if (held) return this.#finish(event, { documents: [this.#held.wait(held, event)] })
    // Where nobody waits, a handler that is done as it returns needs no lane.
    if (this.#canRunAtOnce) {
      void this.#call(event, () => this.#lanes.begin(options.keyOf(event), event))
      return
    }
    this.#lanes.add(options.keyOf(event), event)
    this.#pump()
  }

  get #canRunAtOnce(): boolean {
    return this.#lanes.count === 0 && !this.#parts.options.breaker && !this.#isStopping && this.#suspicion.isNone
  }

  /** Starts what may be started: lanes whose time to be tried again has come, then those that are ready. */
  #pump(): void {
    const { breaker } = this.#parts.options
    while (this.#hasBegun && !this.#isOver && !this.#isStopping && this.#busy < this.#places) {
      const due = this.#held.due(this.#nowMs)
      if (!due && !this.#lanes.hasReady) break
      const admission = breaker?.admit(this.#environment)
      if (breaker && !admission) break
      if (due) this.#occupy(() => this.#retries.retry(due, admission), admission)
      else this.#start(this.#lanes.take()!, admission)
    }
    this.#setTimer()
  }

  /** How many lanes may be tried at the same time. */
  get #places(): number {
    return this.#suspicion.isOnWatch ? 1 : this.#parts.options.concurrency
  }

  /** Takes a place while `work` is under way. */
  #occupy(work: () => Promise<void>, admission: Admission | undefined): void {
    this.#busy++
    void work()
      .catch((error: unknown) => this.#broken.abort(error))
      .finally(() => {
        admission?.withdraw()
        this.#leave()
        this.#pump()
      })
  }

  #start(lane: Lane, admission: Admission | undefined): void {
    const event = lane.queue[0]!
    if (this.#suspicion.accuses(event)) {
      admission?.withdraw()
      const error = new ProcessEndedError(this.#processor)
      return this.#failed(lane, { event, error, atMs: this.#nowMs, durationMs: 0 })
    }
    if (!this.#suspicion.isOnWatch) {
      void this.#call(event, () => lane, admission)
      return
    }
    const suspect = this.#suspicion.watch(event)
    const attempt = async (): Promise<void> => {
      if (!this.#signal.aborted) await this.#call(event, () => lane, admission)
    }
    this.#occupy(() => this.#announcements.during(suspect, attempt), admission)
  }

  /** Calls the handler; `laneOf` gives the lane of the message, which it need not have had so far. Resolves when the attempt has ended. */
  #call(event: RecordedEvent, laneOf: () => Lane, admission?: Admission): Promise<void> | undefined {
    const startedMs = this.#nowMs
    let call: HandlerCall
    try {
      call = this.#parts.caller.call(event, this.#attemptAt(event))
      if (!call.pending) {
        this.#succeeded(event, call, admission)
        if (this.#lanes.count > 0) this.#lanes.advance(laneOf())
        return undefined
      }
    } catch (error) {
      admission?.ended(this.#policy.blamesDependency(error))
      this.#failed(laneOf(), { event, error, atMs: this.#nowMs, durationMs: this.#nowMs - startedMs })
      return undefined
    }
    return this.#follow(laneOf(), event, call, call.pending, startedMs, admission)
  }

  async #follow(
    lane: Lane,
    event: RecordedEvent,
    call: HandlerCall,
    pending: Promise<void>,
    startedMs: number,
    admission: Admission | undefined,
  ): Promise<void> {
    this.#busy++
    const end = await this.#attempts.finish(call, pending)
    this.#leave()
    if (this.#isOver || end.how === 'stopped') return admission?.withdraw()
    this.#measure(startedMs)
    let failure: { readonly error: unknown; readonly straggler?: Promise<void> } | undefined = end.how === 'failed' ? end : undefined
    if (!failure)
      try {
        this.#succeeded(event, call, admission)
        this.#lanes.advance(lane)
      } catch (error) {
        failure = { error }
      }
    if (failure) {
      admission?.ended(this.#policy.blamesDependency(failure.error))
      this.#failed(lane, { event, error: failure.error, atMs: this.#nowMs, durationMs: this.#nowMs - startedMs }, failure.straggler)
    }
    this.#pump()
  }

  /** 1, but in a retry topic, and for the message for which the whole handler waits: it is tried again under one lease after another. */
  #attemptAt({ id, source }: RecordedEvent): number {
    const { blockedAt, tenure } = this.#parts
    return blockedAt?.id === id && blockedAt.source === source ? tenure.attempt : (this.#parts.source.onward?.attempt ?? 1)
  }

  /** Throws when what the handler emitted cannot be stored. */
  #succeeded(event: RecordedEvent, call: HandlerCall, admission: Admission | undefined): void {
    const append = call.effects()
    admission?.ended(false)
    this.#finish(event, append ? { append } : noEffect)
  }

  #failed(lane: Lane, report: FailureReport, straggler?: Promise<void>): void {
    const { options } = this.#parts
    const { event, error } = report
    if (options.whenExhausted === 'block' && !options.atMostOnce) return this.#broken.abort(new Blocked(event, error))
    if (this.#departures) {
      this.#departures.send(report, straggler)
      this.#lanes.advance(lane)
      return
    }
    const decision = this.#policy.decide(report, 1, report.atMs)
    if (decision.how === 'give-up') {
      this.#finish(event, { documents: this.#policy.giveUp(report, undefined) })
      this.#lanes.advance(lane)
      return
    }
    this.#lanes.remove(lane)
    this.#finish(event, { documents: [this.#held.fail(lane.key, report, decision.how === 'retry' ? decision.inMs : undefined, undefined)] })
    const held = this.#held.get(lane.key)!
    for (const later of lane.queue.slice(1)) this.#finish(later, { documents: [this.#held.wait(held, later)] })
    if (straggler) void this.#retries.whenEnded(held, straggler)
    this.#setTimer()
  }

  // ── Ending

  #finish(event: RecordedEvent, effect: Effect): void {
    const { options, source } = this.#parts
    // At most once: it was finished before it was begun.
    if (options.atMostOnce) return this.#writer.add(effect)
    if (effect === noEffect && !source.remembers && !source.finished) this.#writer.finishedWithoutEffect()
    else {
      const order = this.#intake.finished(event)
      const documents = order ? [...(effect.documents ?? []), order] : effect.documents
      this.#writer.add({ ...effect, ...(documents && { documents }), event, isRemembered: source.remembers })
    }
    this.#progress.finish(event.position)
  }

  /** At most once: what was finished before it was handled, and did not get its turn, is lost; nobody shall have to guess. */
  #reportUntried(): void {
    const { count } = this.#lanes
    if (count === 0) return
    this.#environment.metrics.count('headwater_messages_discarded_total', count, { processor: this.#processor })
    this.#environment.log('warn', 'the handler stopped before these messages had their turn; at most once, they are discarded', {
      processor: this.#processor,
      messages: count,
    })
  }

  #committed(effects: readonly Effect[], finished: number, position: number): void {
    const { source, tenure } = this.#parts
    const events = effects.flatMap(({ event }) => (event ? [event] : []))
    source.finished?.(events, position)
    this.#intake.committed(events)
    this.#environment.metrics.count('headwater_processor_events_total', finished, { processor: this.#processor })
    tenure.moved(position)
    if (position > tenure.lease.position) void tenure.recover()
    this.#tellIfLive()
  }

  /** Lets handlers that run come to an end. */
  async #settle(): Promise<void> {
    this.#attempts.stop(new Error('the processor stops'))
    if (this.#busy > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve))
    if (!this.#parts.tenure.lease.lost.aborted) await this.#departures?.settled()
  }

  // ── Time, figures, words

  /** Wakes up when the next lane is to be tried again, or the breaker lets somebody probe. */
  #setTimer(): void {
    const { breaker } = this.#parts.options
    const probeInMs = breaker?.retryInMs(this.#environment)
    const dueMs = this.#held.nextDueMs
    const atMs = probeInMs === undefined ? dueMs : this.#lanes.hasReady || dueMs < Infinity ? this.#nowMs + probeInMs : Infinity
    // What waits for a free place, or for a probe to end, does not wait for time.
    const isProbing = breaker !== undefined && breaker.state !== 'closed' && probeInMs === undefined
    if (this.#isOver || this.#busy >= this.#places || isProbing) this.#wakeUp.cancel()
    else this.#wakeUp.set(atMs)
  }

  #leave(): void {
    this.#busy--
    this.#intake.wake()
    if (this.#busy === 0) this.#whenIdle?.()
  }

  #measure(startedMs: number): void {
    this.#environment.metrics.duration('headwater_handler_duration_ms', this.#nowMs - startedMs, { processor: this.#processor })
  }

  get #nowMs(): number {
    return this.#environment.clock.now()
  }
}

/** Why it cannot go on: the whole handler waits for one message. */
class Blocked {
  readonly event: RecordedEvent
  readonly cause: unknown

  constructor(event: RecordedEvent, cause: unknown) {
    this.event = event
    this.cause = cause
  }
}

const noEffect: Effect = {}
