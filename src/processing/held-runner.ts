import type { RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { Announcements } from './announcements.ts'
import type { Attempts } from './attempts.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import type { Admission } from './circuit-breaker.ts'
import type { DeadLetter } from './dead-letter.ts'
import { deadLetterCollection, deadLetterId, restoredMessage, storedMessage, writeDeadLetter } from './dead-letter.ts'
import type { FailureDecision, FailurePolicy } from './failure-policy.ts'
import type { HandlerCaller } from './handler-call.ts'
import type { FailureReport, HeldLane, HeldLanes } from './held-lanes.ts'
import type { MessageSource } from './message-source.ts'
import type { OperatorAction } from './operator-action.ts'
import { TakenActions, writeAnswer } from './operator-action.ts'
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
  /** Aborted when nothing more is to begin. */
  readonly signal: AbortSignal
  /** A lane may be tried that could not be before. */
  readonly onFree: () => void
}

/** A handler that was given up and does not come to an end keeps its key waiting so long, at most. */
const maxStragglerMs = 60_000
/** Processes are killed for other reasons too: one that is killed so often while it tries the same message is killed by it. */
const deathsBeforeParking = 3

/** Tries the messages again that have failed, one lane's after another, and does what operators ask for. */
export class HeldRunner {
  readonly #parts: HeldRunnerParts
  readonly #environment: Environment
  /** The retries that operators asked for and that have not ended yet, by position. */
  readonly #asked = new Map<number, OperatorAction>()
  readonly #taken = new TakenActions()

  constructor(parts: HeldRunnerParts) {
    this.#parts = parts
    this.#environment = parts.store.environment
  }

  /** Tries the first message of a lane. */
  async retry(lane: HeldLane, admission: Admission | undefined): Promise<void> {
    const { announcements, held } = this.#parts
    const position = lane.positions[0]!
    held.setRunning(lane, true)
    let stillRuns = false
    await announcements.during({ position }, async () => {
      stillRuns = await this.#call(lane, position, admission)
    })
    if (!stillRuns) held.setRunning(lane, false)
  }

  /**
   * What an earlier process was about to try again when it died has failed once more. When that happens again and again, it is the message that does it:
   * then there is no other attempt.
   */
  async blame(positions: Iterable<number>): Promise<void> {
    for (const position of positions) {
      const lane = this.#parts.held.laneOf(position)
      if (lane?.positions[0] !== position) continue
      const { letter, event } = await this.#read(position)
      const error = new ProcessEndedError(this.#parts.processor)
      const isLast = deathsAt(letter) + 1 >= deathsBeforeParking
      if (event) this.#failed(lane, { event, error, atMs: this.#nowMs, durationMs: 0 }, letter, isLast ? Infinity : undefined)
    }
  }

  /** Does what an operator asks for; a retry is under way when this resolves. */
  async act(action: OperatorAction): Promise<void> {
    if (!this.#taken.add(action)) return
    const { held, processor, writer, onFree } = this.#parts
    const position = Number(action.letter.slice(processor.length + 1))
    const lane = held.laneOf(position)
    if (lane?.isRunning || this.#asked.has(position)) this.#answer(action, 'refused', 'it is being tried at this moment')
    else {
      // Nobody tries it while it is looked at.
      if (lane) held.setRunning(lane, true)
      else this.#asked.set(position, action)
      try {
        await this.#actOn(action, lane, position)
      } finally {
        if (lane) held.setRunning(lane, false)
      }
    }
    await writer.flush()
    onFree()
  }

  async #actOn(action: OperatorAction, lane: HeldLane | undefined, position: number): Promise<void> {
    const { held, writer } = this.#parts
    // What became of it so far may not be written yet.
    await writer.flush()
    const { letter, event } = await this.#read(position)
    this.#asked.delete(position)
    if (!letter) return this.#answer(action, 'refused', 'there is no such dead letter')
    if (letter.state === 'waiting' && action.kind !== 'edit')
      return this.#answer(action, 'refused', 'it has not failed: it waits behind an earlier message of its key')
    switch (action.kind) {
      case 'discard':
        writer.add({ documents: [held.remove(position), this.#answered({ ...action, before: letter }, 'done', 'discarded')] })
        if (lane) held.shift(lane)
        return
      case 'edit': {
        if (!event) return this.#answer(action, 'refused', 'the message is not in the log any more')
        const at = new Date(this.#nowMs).toISOString()
        const edit = { by: action.by, at, reason: action.reason, original: letter.edit ? letter.edit.original : event.data }
        const message = { ...storedMessage(event), data: action.data }
        return writer.add({ documents: [writeDeadLetter({ ...letter, message, edit }), this.#answered(action, 'done', 'edited')] })
      }
      case 'retry':
        if (!lane && !event) return this.#answer(action, 'refused', 'the message is not in the log any more')
        this.#asked.set(position, action)
        if (lane) held.makeDue(lane)
        else held.readmit(letter.key, position)
    }
  }

  /** True when the handler was given up and runs all the same. */
  async #call(lane: HeldLane, position: number, admission: Admission | undefined): Promise<boolean> {
    const { attempts, caller, held, policy, signal, writer } = this.#parts
    const { letter, event } = await this.#read(position)
    if (signal.aborted) return false
    if (!event) {
      this.#gone(lane, letter)
      return false
    }
    const startedMs = this.#nowMs
    let failure: { readonly error: unknown; readonly straggler?: Promise<void> }
    try {
      const call = caller.call(event, (letter?.attempts ?? 0) + 1)
      const end = call.pending ? await attempts.finish(call, call.pending) : succeeded
      if (end.how === 'stopped') return false
      if (end.how === 'succeeded') {
        const append = call.effects()
        admission?.ended(false)
        writer.add({ append, documents: [held.remove(position), ...this.#answersFor(position, 'succeeded')] })
        held.shift(lane)
        return false
      }
      failure = end
    } catch (error) {
      failure = { error }
    }
    const { error, straggler } = failure
    admission?.ended(policy.blamesDependency(error))
    this.#failed(lane, { event, error, atMs: this.#nowMs, durationMs: this.#nowMs - startedMs }, letter)
    if (straggler) void this.whenEnded(lane, straggler)
    return straggler !== undefined
  }

  /** `failed`: attempts so far; by default those that the dead letter counts, and this one. */
  #failed(lane: HeldLane, report: FailureReport, letter: DeadLetter | undefined, failed = (letter?.attempts ?? 0) + 1): void {
    const { held, policy, writer } = this.#parts
    const answers = this.#answersFor(report.event.position, 'failed')
    const firstFailedAtMs = letter?.failedAt ? Date.parse(letter.failedAt) : report.atMs
    // Who was given up alone, because it cannot be read, must not make its key wait now.
    const decision: FailureDecision = letter?.state === 'dead' ? { how: 'give-up' } : policy.decide(report, failed, firstFailedAtMs)
    if (decision.how === 'give-up') {
      writer.add({ documents: [...policy.giveUp(report, letter), ...answers] })
      held.shift(lane)
      return
    }
    const retryInMs = decision.how === 'retry' ? decision.inMs : undefined
    writer.add({ documents: [held.fail(lane.key, report, retryInMs, letter), ...answers] })
  }

  /**
   * While a handler that was given up still runs, no other begins for its key. One that never ends (it waits for an answer that does not come) is left alone
   * after a while, since its key would wait as long.
   */
  async whenEnded(lane: HeldLane, straggler: Promise<void>): Promise<void> {
    const { held, processor, onFree } = this.#parts
    const { clock, log } = this.#environment
    held.setRunning(lane, true)
    const ended = new AbortController()
    const hasEnded = straggler.then(() => true)
    if (!(await Promise.race([hasEnded, clock.sleep(maxStragglerMs, ended.signal).then(() => false)])))
      log('warn', 'a handler that was given up does not end; its key goes on beside it', { processor, key: lane.key })
    ended.abort()
    held.setRunning(lane, false)
    onFree()
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

  #answersFor(position: number, outcome: string): readonly DocumentWrite[] {
    const action = this.#asked.get(position)
    if (!action) return []
    this.#asked.delete(position)
    return [this.#answered(action, 'done', outcome)]
  }

  #answered(action: OperatorAction, state: 'done' | 'refused', outcome: string): DocumentWrite {
    return writeAnswer(action, state, outcome, this.#nowMs)
  }

  get #nowMs(): number {
    return this.#environment.clock.now()
  }
}

/** How often in a row the process ended while it tried the message. */
function deathsAt(letter: DeadLetter | undefined): number {
  const latest = letter?.history.toReversed() ?? []
  const other = latest.findIndex(({ error }) => !error.startsWith(ProcessEndedError.name))
  return other < 0 ? latest.length : other
}

const succeeded = { how: 'succeeded' } as const
