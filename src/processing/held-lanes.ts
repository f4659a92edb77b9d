import type { RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import type { EventStore } from '../storage/event-store.ts'
import { encodeCondition } from '../storage/field.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { DeadLetter, EarlierAttempts, FailedAttemptReport, LetterFrame, Origin } from './dead-letter.ts'
import { deadLetterCollection, deadLetterId, failedLetter, removeDeadLetter, storedMessage, writeDeadLetter } from './dead-letter.ts'
import { DueQueue } from './due-queue.ts'

/** The messages of one key that are held back, the oldest first. */
export interface HeldLane {
  readonly key: string
  /** Their positions. Only the first one has failed; the others wait behind it. */
  readonly positions: number[]
  /** When the first one is to be tried again; Infinity when an operator has to say so. */
  readonly dueMs: number
  /** The first one is being tried, or an operator's wish for it is being done. */
  readonly isRunning: boolean
}

type Lane = { -readonly [Field in keyof HeldLane]: HeldLane[Field] }

/** How an attempt failed. */
export interface FailureReport extends FailedAttemptReport {
  readonly event: RecordedEvent
}

/** What came with a message, of which a copy is kept; undefined where it stays in the log. */
export type OriginOf = (event: RecordedEvent) => Origin | undefined

/** What must be known of a held message to put it where it was. */
type HeldPlace = Pick<DeadLetter, 'key' | 'position' | 'state' | 'nextAttemptAt'>

const pageSize = 1_000

/**
 * The keys of one processor that have stumbled. Only the owner of the processor's lease changes them, by writes that it commits together with its
 * checkpoint: nobody else can put something into a lane or take something out of it at the same time.
 */
export class HeldLanes {
  readonly #processor: string
  readonly #environment: Environment
  readonly #originOf: OriginOf
  readonly #lanes = new Map<string, Lane>()
  /** The lane of each held message. */
  readonly #laneOf = new Map<number, Lane>()
  readonly #due = new DueQueue<Lane>((lane, dueMs) => lane.dueMs === dueMs && !lane.isRunning && this.#lanes.get(lane.key) === lane)

  private constructor(processor: string, environment: Environment, originOf: OriginOf) {
    this.#processor = processor
    this.#environment = environment
    this.#originOf = originOf
  }

  /**
   * Those that earlier owners have left. To be called under the lease, before the first message is handled. `isNumbered`: messages of a stream have come in
   * any order, and are in that of their numbers.
   */
  static async load(
    processor: string,
    store: EventStore,
    originOf: OriginOf,
    { isNumbered = false }: { readonly isNumbered?: boolean } = {},
  ): Promise<HeldLanes> {
    const lanes = new HeldLanes(processor, store.environment, originOf)
    const letters = heldLetters(processor, store)
    if (isNumbered) for (const place of await byNumber(letters)) lanes.#restore(place)
    else for await (const letter of letters) lanes.#restore(letter)
    lanes.#report()
    return lanes
  }

  /** Messages that are held. */
  get count(): number {
    return this.#laneOf.size
  }

  get size(): number {
    return this.#lanes.size
  }

  get(key: string): HeldLane | undefined {
    return this.#lanes.get(key)
  }

  /** The lane that is to be tried next, if its time has come. */
  due(nowMs: number): HeldLane | undefined {
    const { first } = this.#due
    return first && first.dueMs <= nowMs ? first : undefined
  }

  /** When the next lane is due, in milliseconds since 1970; Infinity when none is. */
  get nextDueMs(): number {
    return this.#due.first?.dueMs ?? Infinity
  }

  /** The lane in which the message is held. */
  laneOf(position: number): HeldLane | undefined {
    return this.#laneOf.get(position)
  }

  /** The lane is to be tried as soon as there is a free place. */
  makeDue(lane: HeldLane): void {
    this.#setDue(lane, 0)
  }

  /** A message that was given up alone is to be tried, after those of its key that wait. */
  readmit(key: string, position: number): void {
    const lane = this.#lanes.get(key)
    if (lane) this.#append(lane, position)
    else this.#setDue(this.#add(key, position), 0)
  }

  /** Whether the lane is being tried now; it is not due meanwhile. */
  setRunning(lane: HeldLane, isRunning: boolean): void {
    const own: Lane = lane
    own.isRunning = isRunning
    if (!isRunning) this.#setDue(own, own.dueMs)
  }

  /** The first message of a lane has failed, be it a new lane. It is tried again in `retryInMs`, or is parked. */
  fail(key: string, report: FailureReport, retryInMs: number | undefined, before: DeadLetter | undefined): DocumentWrite {
    const lane = this.#lanes.get(key) ?? this.#add(key, report.event.position)
    const dueMs = retryInMs === undefined ? Infinity : this.#environment.clock.now() + retryInMs
    this.#setDue(lane, dueMs)
    return writeDeadLetter({
      ...this.letterOf(key, report, before),
      state: retryInMs === undefined ? 'parked' : 'retrying',
      nextAttemptAt: retryInMs === undefined ? null : new Date(dueMs).toISOString(),
    })
  }

  /** A message waits behind those of its key. */
  wait(lane: HeldLane, event: RecordedEvent): DocumentWrite {
    this.#append(lane, event.position)
    const waiting = { state: 'waiting', attempts: 0, history: [], error: null, fingerprint: null, failedAt: null } as const
    return writeDeadLetter({ ...this.#frameOf(lane.key, event), ...waiting })
  }

  /** The first message of the lane is finished, or is not to be tried again. True when others wait behind it. */
  shift(lane: HeldLane): boolean {
    const position = lane.positions.shift()
    if (position !== undefined) this.#laneOf.delete(position)
    if (lane.positions.length === 0) this.#lanes.delete(lane.key)
    else this.#setDue(lane, 0)
    this.#report()
    return lane.positions.length > 0
  }

  remove(position: number): DocumentWrite {
    return removeDeadLetter(deadLetterId(this.#processor, position))
  }

  /** The message as a dead letter. */
  letterOf(key: string, report: FailureReport, before: EarlierAttempts | undefined): DeadLetter {
    return failedLetter(this.#frameOf(key, report.event), report, before)
  }

  #frameOf(key: string, event: RecordedEvent): LetterFrame {
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

  #add(key: string, position: number): Lane {
    const lane: Lane = { key, positions: [], dueMs: Infinity, isRunning: false }
    this.#lanes.set(key, lane)
    this.#append(lane, position)
    return lane
  }

  #append(lane: Lane | HeldLane, position: number): void {
    lane.positions.push(position)
    this.#laneOf.set(position, lane)
    this.#report()
  }

  #setDue(lane: Lane | HeldLane, dueMs: number): void {
    const own: Lane = lane
    own.dueMs = dueMs
    if (dueMs < Infinity) this.#due.enter(own, dueMs)
  }

  #restore({ key, position, state, nextAttemptAt }: HeldPlace): void {
    const lane = this.#lanes.get(key)
    if (lane) return this.#append(lane, position)
    const added = this.#add(key, position)
    if (state === 'waiting') this.#setDue(added, 0)
    else if (state === 'retrying' && nextAttemptAt !== null) this.#setDue(added, Date.parse(nextAttemptAt))
  }

  #report(): void {
    this.#environment.metrics.gauge('headwater_messages_held', this.count, { processor: this.#processor })
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

/** In the order in which their keys' messages were given their turns: the one that has failed is the first of its key, those behind it ascend in each stream. */
async function byNumber(letters: AsyncIterable<DeadLetter>): Promise<readonly HeldPlace[]> {
  const places: (HeldPlace & { readonly number: number })[] = []
  for await (const { key, position, state, nextAttemptAt, message } of letters)
    places.push({ key, position, state, nextAttemptAt, number: state === 'waiting' ? (message?.version ?? 0) : -1 })
  return places.toSorted((a, b) => a.number - b.number)
}
