import { setImmediate as nextTurn } from 'node:timers/promises'
import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { CheckpointWriter } from './checkpoint-writer.ts'
import { identityOf } from './checkpoint-writer.ts'
import { writeDeadLetter } from './dead-letter.ts'
import type { HeldLanes } from './held-lanes.ts'
import type { MessagePage, MessageSource } from './message-source.ts'
import type { Progress } from './progress.ts'

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
}

/** Messages at hand, and effects that are not committed, at most. */
const maxWaiting = 1_000
const maxPending = 5_000
/** More than so many held messages, and no others are taken: an operator has to look. */
const maxHeld = 10_000
/** Handlers that do not wait are given so long before others have their turn. */
const giveWayAfterMs = 10
const checkAfterEvents = 32

/** Takes messages from their source, as many as can be dealt with; leaves out those that were finished before, and puts aside those that are none. */
export class Intake {
  readonly #parts: IntakeParts
  /** Messages of a source that repeats itself, which are not in the inbox yet. */
  readonly #atHand = new Set<string>()
  #isCaughtUp = false
  #wake: (() => void) | undefined

  constructor(parts: IntakeParts) {
    this.#parts = parts
  }

  /** True when the source had nothing more, the last time. */
  get isCaughtUp(): boolean {
    return this.#isCaughtUp
  }

  async run(): Promise<void> {
    const { atMostOnce, progress, signal, source, writer, caughtUp } = this.#parts
    for await (const page of source.read(progress.position, signal)) {
      const known = await this.#finishedBefore(page)
      for (const { event, error } of page.problems ?? []) this.#takeProblem(event, error, known)
      if (atMostOnce) await this.#finishUnseen(page, known)
      await this.#takePage(page, known)
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

  committed(events: readonly RecordedEvent[]): void {
    if (this.#parts.source.repeats) for (const event of events) this.#atHand.delete(identityOf(event))
    this.wake()
  }

  async #takePage(page: MessagePage, known: ReadonlySet<string>): Promise<void> {
    const { atMostOnce, progress, signal, source, take } = this.#parts
    let sinceMs = this.#nowMs
    let count = 0
    for (const event of page.events) {
      if (source.repeats && this.#isRepeated(event, known)) this.#takeDuplicate(event)
      else if (!atMostOnce && progress.wasFinished(event.position)) progress.pass(event.position)
      else take(event)
      if (this.#isFull) await this.#room()
      if (++count % checkAfterEvents === 0 && this.#nowMs - sinceMs >= giveWayAfterMs) {
        await nextTurn()
        sinceMs = this.#nowMs
      }
      if (signal.aborted) return
    }
  }

  /** True when it came before, and was finished or is at hand. */
  #isRepeated(event: RecordedEvent, known: ReadonlySet<string>): boolean {
    const identity = identityOf(event)
    if (known.has(identity) || this.#atHand.has(identity)) return true
    // At most once, it is in the inbox before it is begun.
    if (!this.#parts.atMostOnce) this.#atHand.add(identity)
    return false
  }

  /** Those of the page that came before, under another position. */
  async #finishedBefore({ events, problems = [] }: MessagePage): Promise<ReadonlySet<string>> {
    const { processor, source, store } = this.#parts
    if (!source.repeats || events.length + problems.length === 0) return none
    const messages = [...events, ...problems.map(({ event }) => event)].map(({ source: from, id }) => ({ source: from, id }))
    return new Set((await store.driver.inbox.find(processor, messages)).map(identityOf))
  }

  /** At most once: all messages of the page are finished before the first of them is handled. */
  async #finishUnseen({ events }: MessagePage, known: ReadonlySet<string>): Promise<void> {
    const { progress, source, writer } = this.#parts
    for (const event of events) {
      if (progress.wasFinished(event.position) || known.has(identityOf(event))) continue
      progress.pass(event.position)
      writer.add({ event, isRemembered: source.repeats })
    }
    await writer.flush()
  }

  #takeDuplicate(event: RecordedEvent): void {
    const { processor, progress, store, writer } = this.#parts
    store.environment.metrics.count('headwater_messages_duplicate_total', 1, { processor })
    progress.pass(event.position)
    writer.add({ event })
  }

  /** What cannot be understood stands in nobody's way: it is put aside by itself. */
  #takeProblem(event: RecordedEvent, error: unknown, known: ReadonlySet<string>): void {
    const { held, processor, progress, source, store, writer } = this.#parts
    if (progress.wasFinished(event.position)) return
    if (known.has(identityOf(event))) return this.#takeDuplicate(event)
    store.environment.metrics.count('headwater_messages_dead_total', 1, { processor })
    const letter = held.letterOf(event.stream, { event, error, atMs: this.#nowMs, durationMs: 0 }, undefined)
    writer.add({ event, isRemembered: source.repeats, documents: [writeDeadLetter(letter)] })
  }

  get #isFull(): boolean {
    const { held, waiting, writer } = this.#parts
    return waiting() >= maxWaiting || writer.pendingCount >= maxPending || held.count >= maxHeld
  }

  /** Waits until there is room for a good many, so that the source is not asked for one message at a time. */
  async #room(): Promise<void> {
    const { held, processor, signal, store, waiting } = this.#parts
    if (held.count >= maxHeld)
      store.environment.log('error', 'too many messages are held: no others are taken until some are dealt with', { processor })
    while (!signal.aborted && (this.#isFull || waiting() > maxWaiting / 2)) {
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

const none: ReadonlySet<string> = new Set()
