import type { RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { Announcements } from './announcements.ts'
import type { Attempts } from './attempts.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import type { Breaker } from './circuit-breaker.ts'
import type { DeadLetter } from './dead-letter.ts'
import { deadLetterCollection, deadLetterId, restoredMessage, storedMessage, writeDeadLetter } from './dead-letter.ts'
import type { FailurePolicy } from './failure-policy.ts'
import type { HandlerCaller } from './handler-call.ts'
import type { FailureReport, HeldLane, HeldLanes } from './held-lanes.ts'
import type { MessageSource } from './message-source.ts'
import type { OperatorAction } from './operator-action.ts'
import { writeAction } from './operator-action.ts'
import { ProcessEndedError } from './retry.ts'

export interface HeldRunnerParts {
  readonly processor: string
  readonly caller: HandlerCaller
  readonly source: MessageSource
  readonly store: EventStore
  readonly held: HeldLanes
  readonly attempts: Attempts
  readonly announcements: Announcements
  readonly policy: FailurePolicy
  readonly writer: CheckpointWriter
  readonly breaker: Breaker | undefined
  /** Aborted when nothing more is to begin. */
  readonly signal: AbortSignal
  /** A lane may be tried that could not be before. */
  readonly onFree: () => void
}

/** Tries the messages again that have failed, one lane's after another, and does what operators ask for. */
export class HeldRunner {
  readonly #parts: HeldRunnerParts
  readonly #environment: Environment
  /** The retries that operators asked for and that have not ended yet, by position. */
  readonly #asked = new Map<number, OperatorAction>()

  constructor(parts: HeldRunnerParts) {
    this.#parts = parts
    this.#environment = parts.store.environment
  }

  /** Tries the first message of a lane. */
  async retry(lane: HeldLane): Promise<void> {
    const { announcements, held } = this.#parts
    const position = lane.positions[0]!
    held.setRunning(lane, true)
    let stillRuns = false
    await announcements.during(position, async () => {
      stillRuns = await this.#call(lane, position)
    })
    if (!stillRuns) held.setRunning(lane, false)
  }

  /** What an earlier process was about to try again when it died has failed once more. */
  async blame(positions: Iterable<number>): Promise<void> {
    for (const position of positions) {
      const lane = this.#parts.held.laneAt(position)
      if (!lane) continue
      const { letter, event } = await this.#read(position)
      const error = new ProcessEndedError(this.#parts.processor)
      if (event) this.#failed(lane, { event, error, atMs: this.#nowMs, durationMs: 0 }, letter)
    }
  }

  /** Does what an operator asks for; a retry is under way when this resolves. */
  async act(action: OperatorAction): Promise<void> {
    const { held, processor, writer, onFree } = this.#parts
    const position = Number(action.letter.slice(processor.length + 1))
    if (this.#asked.has(position)) return
    const { letter, event } = await this.#read(position)
    const lane = held.laneAt(position)
    if (!letter) return this.#answer(action, 'refused', 'there is no such dead letter')
    if (letter.state === 'waiting' && action.kind !== 'edit')
      return this.#answer(action, 'refused', 'it has not failed: it waits behind an earlier message of its key')
    if (lane?.isRunning) return this.#answer(action, 'refused', 'it is being tried at this moment')
    switch (action.kind) {
      case 'discard':
        if (lane) held.shift(lane)
        writer.add({ documents: [held.remove(position), this.#answered({ ...action, before: letter }, 'done', 'discarded')] })
        break
      case 'edit': {
        if (!event) return this.#answer(action, 'refused', 'the message is not in the log any more')
        const at = new Date(this.#nowMs).toISOString()
        const edit = { by: action.by, at, reason: action.reason, original: letter.edit ? letter.edit.original : event.data }
        const message = { ...storedMessage(event), data: action.data }
        writer.add({ documents: [writeDeadLetter({ ...letter, message, edit }), this.#answered(action, 'done', 'edited')] })
        break
      }
      case 'retry':
        this.#asked.set(position, action)
        if (lane) held.makeDue(lane)
        else if (event) held.readmit(letter.key, position)
    }
    await writer.flush()
    onFree()
  }

  /** True when the handler was given up and runs all the same. */
  async #call(lane: HeldLane, position: number): Promise<boolean> {
    const { attempts, breaker, caller, held, policy, signal, writer } = this.#parts
    const { letter, event } = await this.#read(position)
    if (signal.aborted || !event) {
      breaker?.withdraw()
      if (!signal.aborted) this.#gone(lane, letter)
      return false
    }
    const startedMs = this.#nowMs
    let failure: { readonly error: unknown; readonly straggler?: Promise<void> }
    try {
      const call = caller.call(event, lane.attempts + 1)
      const end = call.pending ? await attempts.finish(call, call.pending) : succeeded
      if (end.how === 'stopped') {
        breaker?.withdraw()
        return false
      }
      if (end.how === 'succeeded') {
        const append = call.effects()
        breaker?.record(false, this.#environment)
        writer.add({ append, documents: [held.remove(position), ...this.#answersFor(position, 'succeeded')] })
        held.shift(lane)
        return false
      }
      failure = end
    } catch (error) {
      failure = { error }
    }
    policy.record(failure.error)
    this.#failed(lane, { event, error: failure.error, atMs: this.#nowMs, durationMs: this.#nowMs - startedMs }, letter, failure.straggler)
    return failure.straggler !== undefined
  }

  #failed(lane: HeldLane, report: FailureReport, letter: DeadLetter | undefined, straggler?: Promise<void>): void {
    const { held, policy, writer, onFree } = this.#parts
    const answers = this.#answersFor(report.event.position, 'failed')
    const decision = policy.decide(report, lane.attempts + 1, lane.failedAtMs || report.atMs)
    if (decision.how === 'give-up') {
      writer.add({ documents: [...policy.giveUp(report, letter), ...answers] })
      held.shift(lane)
      return
    }
    const retryInMs = decision.how === 'retry' ? decision.inMs : undefined
    writer.add({ documents: [held.fail(lane.key, report, retryInMs, letter), ...answers] })
    if (straggler) void this.whenEnded(lane, straggler).then(onFree)
  }

  /** While a handler that was given up still runs, no other begins for its key. */
  async whenEnded(lane: HeldLane, straggler: Promise<void>): Promise<void> {
    this.#parts.held.setRunning(lane, true)
    await straggler
    this.#parts.held.setRunning(lane, false)
  }

  /** What waited is not where it was, because old history was archived: what is known of it stays, for an operator to see. */
  #gone(lane: HeldLane, letter: DeadLetter | undefined): void {
    const { held, processor, writer } = this.#parts
    const position = lane.positions[0]!
    this.#environment.log('error', 'a held message is not in the log any more', { processor, position })
    const answers = this.#answersFor(position, 'failed')
    writer.add({ documents: [...(letter ? [writeDeadLetter({ ...letter, state: 'dead', nextAttemptAt: null })] : []), ...answers] })
    held.shift(lane)
  }

  async #read(position: number): Promise<{ readonly letter: DeadLetter | undefined; readonly event: RecordedEvent | undefined }> {
    const { processor, source, store } = this.#parts
    const id = deadLetterId(processor, position)
    const text = (await store.driver.documents.get(deadLetterCollection.id, [id])).get(id)
    const letter = text === undefined ? undefined : (JSON.parse(text) as DeadLetter)
    return { letter, event: letter?.message ? restoredMessage(letter.message) : await source.find(position) }
  }

  #answer(action: OperatorAction, state: 'done' | 'refused', outcome: string): void {
    this.#parts.writer.add({ documents: [this.#answered(action, state, outcome)] })
  }

  #answersFor(position: number, outcome: string): readonly ReturnType<typeof writeAction>[] {
    const action = this.#asked.get(position)
    if (!action) return []
    this.#asked.delete(position)
    return [this.#answered(action, 'done', outcome)]
  }

  #answered(action: OperatorAction, state: 'done' | 'refused', outcome: string): ReturnType<typeof writeAction> {
    return writeAction({ ...action, state, outcome, doneAt: new Date(this.#nowMs).toISOString() })
  }

  get #nowMs(): number {
    return this.#environment.clock.now()
  }
}

const succeeded = { how: 'succeeded' } as const
