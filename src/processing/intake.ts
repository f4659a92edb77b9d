import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite, MessageIdentity } from '../storage/write-set.ts'
import { ByIdentity } from './by-identity.ts'
import type { CheckpointWriter, Effect } from './checkpoint-writer.ts'
import { writeDeadLetter } from './dead-letter.ts'
import type { HeldLanes } from './held-lanes.ts'
import type { MessagePage, MessageSource } from './message-source.ts'
import type { Progress } from './progress.ts'
import { Sequences } from './sequences.ts'

export interface IntakeParts {
  readonly processor: string
  readonly source: MessageSource
  readonly store: EventStore
  readonly progress: Progress
  readonly writer: CheckpointWriter
  readonly held: HeldLanes
  readonly atMostOnce: boolean
  readonly signal: AbortSignal
  /** Handles the message, now or when its turn comes. */
  take(event: RecordedEvent): void
  /** How many messages wait for their turn, or are handled. */
  waiting(): number
  /** The source has nothing more at the moment. */
  caughtUp(): Promise<void>
  /** It cannot go on, while no page was being dealt with. */
  failed(error: unknown): void
}

/** Messages at hand, at most: so many, fewer where they are large, but always some; and as many bytes again of what they led to. */
const maxWaiting = 1_000
const maxWaitingBytes = 16 * 1024 * 1024
const minWaiting = 16
const sampledEvents = 5
/** Effects that are not committed, for each message that may be at hand. */
const maxPendingEach = 5
/** More than so many held messages, and no others are taken: an operator has to look. */
const maxHeld = 10_000
/** Handlers that do not wait are given so long before others have their turn. */
const giveWayAfterMs = 10
const checkAfterEvents = 32

/** A message of a page; `error` says why it could not be understood, `isForOthers` that only its number counts. */
interface Taken {
  readonly event: RecordedEvent
  readonly error?: unknown
  readonly isForOthers?: boolean
}

/** Messages that came before. Undefined: none. */
type Known = ByIdentity<true> | undefined

/** Takes messages from their source, as many as can be dealt with; leaves out those that were finished before, and puts aside those that are none. */
export class Intake {
  readonly #parts: IntakeParts
  /**
   * Messages that are not in the inbox yet, where the source repeats itself; each with the copies that came meanwhile. A copy is finished when the message
   * is: a broker that was told of it earlier would forget a message that may still have to come again.
   */
  readonly #atHand = new ByIdentity<readonly RecordedEvent[]>()
  /** Where messages have numbers. */
  readonly #sequences: Sequences | undefined
  /** At most once: they are finished, and are handled when that is committed. */
  #admitted: RecordedEvent[] = []
  #mayWait = maxWaiting
  #isCaughtUp = false
  #isStopping = false
  #wake: (() => void) | undefined

  constructor(parts: IntakeParts) {
    this.#parts = parts
    // Asked for at each message, which a signal that is made of several would make dear.
    parts.signal.addEventListener('abort', () => (this.#isStopping = true), { once: true })
    this.#isStopping = parts.signal.aborted
    const { processor, signal, source, store } = parts
    if (source.sequenceOrder)
      this.#sequences = new Sequences({
        processor,
        store,
        order: source.sequenceOrder,
        signal,
        take: (event) => this.#take(event),
        drop: (event) => this.#finish(event, {}),
        onExpired: () => void this.#takeAdmitted().catch((error: unknown) => parts.failed(error)),
        onFailed: (error) => parts.failed(error),
      })
  }

  /** True when the source had nothing more, the last time. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp
  }

  async run(): Promise<void> {
    const { atMostOnce, progress, signal, source, writer, caughtUp } = this.#parts
    for await (const page of source.read(progress.position, signal)) {
      this.#judgeSize(page)
      const known = await this.#finishedBefore(page)
      await this.#sequences?.load(inOrder(page).map(({ event }) => event))
      if (atMostOnce) await this.#takeFinished(page, known)
      else await this.#takePage(page, known)
      if (signal.aborted) return
      progress.pass(page.through)
      writer.passed()
      this.#isCaughtUp = page.isLast
      if (page.isLast) await caughtUp()
    }
  }

  /** Something has come to an end: there may be room. */
  wake(): void {
    this.#wake?.()
  }

  /** A message that was taken is about to be finished: what is to be committed with it. */
  finished(event: RecordedEvent): DocumentWrite | undefined {
    return this.#sequences?.finish(event)
  }

  committed(events: readonly RecordedEvent[]): void {
    const { source, writer } = this.#parts
    this.#sequences?.committed(events)
    if (source.remembers)
      for (const event of events) {
        for (const copy of this.#atHand.take(event) ?? none) writer.add({ event: copy })
      }
    this.wake()
  }

  async #takePage(page: MessagePage, known: Known): Promise<void> {
    const { progress } = this.#parts
    let sinceMs = this.#nowMs
    let count = 0
    for (const one of inOrder(page)) {
      if (this.#isNew(one, known)) {
        progress.begin(one.event.position)
        this.#admit(one)
      }
      if (this.#isFull) await this.#room()
      if (++count % checkAfterEvents === 0 && this.#nowMs - sinceMs >= giveWayAfterMs) {
        await nextTurn()
        sinceMs = this.#nowMs
      }
      if (this.#isStopping) return
    }
  }

  /** At most once: messages are finished before they are handled, as many at a time as there is room for, so that few are lost when the process dies. */
  async #takeFinished(page: MessagePage, known: Known): Promise<void> {
    const { progress, signal, waiting } = this.#parts
    const messages = inOrder(page)
    for (let next = 0; next < messages.length && !signal.aborted;) {
      const some = messages.slice(next, next + Math.max(1, this.#mayWait - waiting()))
      next += some.length
      for (const one of some) {
        if (!this.#isNew(one, known)) continue
        progress.begin(one.event.position)
        this.#admit(one)
      }
      if (!(await this.#takeAdmitted())) return
      if (this.#isFull) await this.#room()
    }
  }

  #admit(one: Taken): void {
    if ('error' in one) this.#putAside(one)
    else if (one.isForOthers) this.#pass(one.event, {})
    else if (this.#sequences) this.#sequences.arrive(one.event)
    else this.#take(one.event)
  }

  #take(event: RecordedEvent): void {
    const { atMostOnce, source, take } = this.#parts
    if (!atMostOnce) return take(event)
    const write = this.finished(event)
    this.#finish(event, { isRemembered: source.remembers, ...(write && { documents: [write] }) })
    this.#admitted.push(event)
  }

  /** False when nothing can be committed any more. */
  async #takeAdmitted(): Promise<boolean> {
    const { atMostOnce, take, writer } = this.#parts
    if (!atMostOnce) return true
    const admitted = this.#admitted
    this.#admitted = []
    if (!(await writer.flush())) return false
    for (const event of admitted) take(event)
    return true
  }

  /** False when it was finished before, or is at hand. */
  #isNew({ event, isForOthers }: Taken, known: Known): boolean {
    const { processor, progress, source, store, writer } = this.#parts
    if (progress.wasFinished(event.position)) {
      progress.pass(event.position)
      this.#sequences?.recognise(event)
      return false
    }
    if (!source.remembers || isForOthers) return true
    const copies = this.#atHand.get(event)
    if (!copies && !known?.get(event)) {
      this.#atHand.set(event, none)
      return true
    }
    store.environment.metrics.count('headwater_messages_duplicate_total', 1, { processor })
    if (copies) this.#atHand.set(event, [...copies, event])
    else {
      writer.add({ event })
      this.#sequences?.recognise(event)
    }
    progress.pass(event.position)
    return false
  }

  /** Those of the page that came before: they are in the inbox, or about to be. */
  async #finishedBefore({ events, problems = [] }: MessagePage): Promise<Known> {
    const { processor, source, store } = this.#parts
    if (!source.remembers || events.length + problems.length === 0) return undefined
    const asked: MessageIdentity[] = []
    let known: ByIdentity<true> | undefined
    const look = (event: RecordedEvent): void => {
      // It may be committed while the inbox is read.
      if (this.#atHand.get(event)) (known ??= new ByIdentity()).set(event, true)
      else asked.push(event)
    }
    for (const event of events) look(event)
    for (const { event } of problems) look(event)
    if (asked.length > 0) for (const found of await store.driver.inbox.find(processor, asked)) (known ??= new ByIdentity()).set(found, true)
    return known
  }

  /** What cannot be understood stands in nobody's way: it is put aside by itself. */
  #putAside({ event, error }: Taken): void {
    const { held, processor, source, store } = this.#parts
    store.environment.metrics.count('headwater_messages_dead_total', 1, { processor })
    const letter = held.letterOf(event.stream, { event, error, atMs: this.#nowMs, durationMs: 0 }, undefined)
    this.#pass(event, { isRemembered: source.remembers, documents: [writeDeadLetter(letter)] })
  }

  /** Finishes a message that is not handled; its number counts. */
  #pass(event: RecordedEvent, effect: Effect): void {
    const write = this.#sequences?.pass(event)
    this.#finish(event, write ? { ...effect, documents: [...(effect.documents ?? []), write] } : effect)
    this.#sequences?.advance(event)
  }

  #finish(event: RecordedEvent, effect: Effect): void {
    const { progress, writer } = this.#parts
    writer.add({ ...effect, event })
    progress.finish(event.position)
  }

  get #isFull(): boolean {
    const { held, waiting, writer } = this.#parts
    if (waiting() >= this.#mayWait || held.count >= maxHeld) return true
    return writer.pendingCount >= this.#mayWait * maxPendingEach || writer.pendingBytes >= maxWaitingBytes
  }

  /** The largest of some messages of a page tells how many may be at hand. */
  #judgeSize({ events }: MessagePage): void {
    if (events.length === 0) return
    let bytes = 0
    const step = Math.ceil(events.length / sampledEvents)
    for (let next = 0; next < events.length; next += step) bytes = Math.max(bytes, JSON.stringify(events[next]!.data)?.length ?? 0)
    this.#mayWait = Math.max(minWaiting, Math.min(maxWaiting, Math.floor(maxWaitingBytes / (bytes + 1))))
  }

  /** Waits until there is room for a good many, so that the source is not asked for one message at a time. */
  async #room(): Promise<void> {
    const { held, processor, signal, store, waiting } = this.#parts
    if (held.count >= maxHeld)
      store.environment.log('error', 'too many messages are held: no others are taken until some are dealt with', { processor })
    while (!signal.aborted && (this.#isFull || waiting() > this.#mayWait / 2)) {
      const done = new AbortController()
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        signal.addEventListener('abort', () => resolve(), { once: true, signal: done.signal })
      })
      done.abort()
    }
  }

  get #nowMs(): number {
    return this.#parts.store.environment.clock.now()
  }
}

/** What is in the page, by position. */
function inOrder({ events, problems = [], others = [] }: MessagePage): readonly Taken[] {
  const messages = events.map((event): Taken => ({ event }))
  if (problems.length + others.length === 0) return messages
  const forOthers = others.map((event): Taken => ({ event, isForOthers: true }))
  return [...messages, ...problems, ...forOthers].toSorted((a, b) => a.event.position - b.event.position)
}

const none: readonly never[] = []
