import type { RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import { describeError } from '../observability/log.ts'
import type { EventStore } from '../storage/event-store.ts'
import { encodeCondition } from '../storage/field.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { DeadLetter, Origin } from './dead-letter.ts'
import {
  deadLetterCollection,
  deadLetterId,
  failureOf,
  fingerprintOf,
  removeDeadLetter,
  storedMessage,
  writeDeadLetter,
} from './dead-letter.ts'

/** The messages of one key that are held back, the oldest first. */
export interface HeldLane {
  readonly key: string
  /** Their positions. Only the first one has failed; the others wait behind it. */
  readonly positions: number[]
  /** When the first one is to be tried again; Infinity when an operator has to say so. */
  dueMs: number
  /** Attempts at the first one that have failed, and when the first of them did. */
  attempts: number
  failedAtMs: number
  isRunning: boolean
}

/** How an attempt failed. */
export interface FailureReport {
  readonly event: RecordedEvent
  readonly error: unknown
  readonly atMs: number
  readonly durationMs: number
}

/** What came with a message, of which a copy is kept; undefined where it stays in the log. */
export type OriginOf = (event: RecordedEvent) => Origin | undefined

const keptAttempts = 20
const pageSize = 1_000

/**
 * The keys of one processor that have stumbled. Only the owner of the processor's lease changes them, by writes that it commits together with its
 * checkpoint: nobody else can put something into a lane or take something out of it at the same time.
 */
export class HeldLanes {
  readonly #processor: string
  readonly #environment: Environment
  readonly #originOf: OriginOf
  readonly #lanes = new Map<string, HeldLane>()
  #count = 0
  #knownNext: HeldLane | undefined
  #nextIsKnown = false

  private constructor(processor: string, environment: Environment, originOf: OriginOf) {
    this.#processor = processor
    this.#environment = environment
    this.#originOf = originOf
  }

  /** Those that earlier owners have left. To be called under the lease, before the first message is handled. */
  static async load(processor: string, store: EventStore, originOf: OriginOf): Promise<HeldLanes> {
    const lanes = new HeldLanes(processor, store.environment, originOf)
    for await (const letter of heldLetters(processor, store)) lanes.#restore(letter)
    lanes.#report()
    return lanes
  }

  /** Messages that are held. */
  get count(): number {
    return this.#count
  }

  get size(): number {
    return this.#lanes.size
  }

  get(key: string): HeldLane | undefined {
    return this.#lanes.get(key)
  }

  /** The lane that is to be tried next, if its time has come. */
  due(nowMs: number): HeldLane | undefined {
    const next = this.#next
    return next && next.dueMs <= nowMs ? next : undefined
  }

  /** When the next lane is due, in milliseconds since 1970; Infinity when none is. */
  get nextDueMs(): number {
    return this.#next?.dueMs ?? Infinity
  }

  /** The lane whose first message this is. */
  laneAt(position: number): HeldLane | undefined {
    return [...this.#lanes.values()].find(({ positions }) => positions[0] === position)
  }

  /** The lane is to be tried as soon as there is a free place. */
  makeDue(lane: HeldLane): void {
    lane.dueMs = 0
    this.#nextIsKnown = false
  }

  /** A message that was given up alone is to be tried, after those of its key that wait. */
  readmit(key: string, position: number): void {
    const lane = this.#lanes.get(key)
    if (!lane) this.#add(key, position)
    else {
      lane.positions.push(position)
      this.#changed(1)
    }
  }

  /** Whether the lane is being tried now; it is not due meanwhile. */
  setRunning(lane: HeldLane, isRunning: boolean): void {
    lane.isRunning = isRunning
    this.#nextIsKnown = false
  }

  get #next(): HeldLane | undefined {
    if (!this.#nextIsKnown) {
      this.#knownNext = undefined
      for (const lane of this.#lanes.values())
        if (!lane.isRunning && lane.dueMs < (this.#knownNext?.dueMs ?? Infinity)) this.#knownNext = lane
      this.#nextIsKnown = true
    }
    return this.#knownNext
  }

  /** The first message of a lane has failed, be it a new lane. It is tried again in `retryInMs`, or is parked. */
  fail(key: string, report: FailureReport, retryInMs: number | undefined, before: DeadLetter | undefined): DocumentWrite {
    const lane = this.#lanes.get(key) ?? this.#add(key, report.event.position)
    lane.attempts++
    if (lane.attempts === 1) lane.failedAtMs = report.atMs
    lane.dueMs = retryInMs === undefined ? Infinity : this.#environment.clock.now() + retryInMs
    this.#nextIsKnown = false
    const state = retryInMs === undefined ? 'parked' : 'retrying'
    return writeDeadLetter({
      ...this.letterOf(key, report, before),
      state,
      nextAttemptAt: retryInMs === undefined ? null : new Date(lane.dueMs).toISOString(),
    })
  }

  /** A message waits behind those of its key. */
  wait(lane: HeldLane, event: RecordedEvent): DocumentWrite {
    lane.positions.push(event.position)
    this.#changed(1)
    const waiting = { state: 'waiting', attempts: 0, history: [], error: null, fingerprint: null, failedAt: null } as const
    return writeDeadLetter({ ...this.#frameOf(lane.key, event), ...waiting })
  }

  /** The first message of the lane is finished, or is not to be tried again. True when others wait behind it. */
  shift(lane: HeldLane): boolean {
    lane.positions.shift()
    lane.attempts = 0
    lane.dueMs = 0
    if (lane.positions.length === 0) this.#lanes.delete(lane.key)
    this.#changed(-1)
    return lane.positions.length > 0
  }

  remove(position: number): DocumentWrite {
    return removeDeadLetter(deadLetterId(this.#processor, position))
  }

  /** The message as a dead letter. */
  letterOf(key: string, { event, error, atMs, durationMs }: FailureReport, before: DeadLetter | undefined): DeadLetter {
    const failure = failureOf(error)
    const at = new Date(atMs).toISOString()
    return {
      ...this.#frameOf(key, event),
      state: 'dead',
      attempts: (before?.attempts ?? 0) + 1,
      history: [...(before?.history ?? []), { at, error: describeError(error).slice(0, 500), durationMs: Math.round(durationMs) }].slice(
        -keptAttempts,
      ),
      error: failure,
      fingerprint: fingerprintOf(this.#processor, failure),
      failedAt: before?.failedAt ?? at,
      edit: before?.edit ?? null,
      ...(before?.message && { message: before.message, origin: before.origin }),
    }
  }

  #frameOf(key: string, event: RecordedEvent) {
    const { position, type } = event
    const origin = this.#originOf(event)
    return {
      id: deadLetterId(this.#processor, position),
      processor: this.#processor,
      key,
      position,
      type,
      message: origin ? storedMessage(event) : null,
      origin: origin ?? null,
      nextAttemptAt: null,
      edit: null,
    }
  }

  #add(key: string, position: number): HeldLane {
    const lane: HeldLane = { key, positions: [position], dueMs: 0, attempts: 0, failedAtMs: 0, isRunning: false }
    this.#lanes.set(key, lane)
    this.#changed(1)
    return lane
  }

  #restore({ key, position, state, attempts, failedAt, nextAttemptAt }: DeadLetter): void {
    const lane = this.#lanes.get(key)
    if (lane) {
      lane.positions.push(position)
      this.#count++
      return
    }
    const added = this.#add(key, position)
    if (state === 'waiting') return
    added.attempts = attempts
    added.failedAtMs = failedAt === null ? 0 : Date.parse(failedAt)
    added.dueMs = state === 'parked' || nextAttemptAt === null ? Infinity : Date.parse(nextAttemptAt)
  }

  #changed(by: number): void {
    this.#count += by
    this.#nextIsKnown = false
    this.#report()
  }

  #report(): void {
    this.#environment.metrics.gauge('headwater_messages_held', this.#count, { processor: this.#processor })
  }
}

/** What is held of a processor, in the order of positions. */
async function* heldLetters(processor: string, store: EventStore): AsyncIterable<DeadLetter> {
  const { id, indexed } = deadLetterCollection
  const where = [
    encodeCondition(indexed.indexOf('processor'), processor),
    encodeCondition(indexed.indexOf('state'), { in: ['retrying', 'parked', 'waiting'] }),
  ]
  const sort = [{ field: indexed.indexOf('position'), descending: false }]
  let after: { readonly sortValues: readonly string[]; readonly key: string } | undefined
  for (;;) {
    const page = await store.driver.documents.find(id, { where, sort, limit: pageSize, ...(after && { after }) })
    for (const { document } of page) yield JSON.parse(document) as DeadLetter
    if (page.length < pageSize) return
    const { sortValues, key } = page.at(-1)!
    after = { sortValues, key }
  }
}
