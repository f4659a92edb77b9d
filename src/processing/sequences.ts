import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DocumentWrite } from '../storage/write-set.ts'
import type { SequenceRules } from '../transport/topic.ts'
import { DueQueue } from './due-queue.ts'
import { SequenceStore } from './sequence-store.ts'
import type { EarlyMessage, Sequence } from './sequence.ts'

/** How the messages of a source are put in order by their numbers. */
export interface SequenceOrder extends SequenceRules {
  /** Whether a stream that is new here begins with the number that comes first, because the handler did not begin at the beginning. Else it begins with 1. */
  readonly beginsAnywhere: boolean
}

export interface SequencesParts {
  readonly processor: string
  readonly store: EventStore
  readonly order: SequenceOrder
  /** Aborted when nobody is to be given their turn any more. */
  readonly signal: AbortSignal
  /** The turn of the message has come. */
  take(event: RecordedEvent): void
  /** The turn of the message is over. */
  drop(event: RecordedEvent): void
  /** Time is over for some, and others were given their turn. */
  onExpired(): void
  onFailed(error: unknown): void
}

/** Of the data of all messages that wait: half of what is fetched ahead, so that the one that is missing can still come. */
const maxWaitingBytes = 8 * 1024 * 1024

/**
 * Gives out the messages of each stream in the order of their numbers, whatever order they come in. One that comes before its turn waits in memory, for a
 * while: it is not acknowledged, and comes again after a crash. What is done with of each stream is saved together with what was done.
 */
export class Sequences {
  readonly #parts: SequencesParts
  readonly #sequences: SequenceStore
  readonly #uncommitted = new Set<RecordedEvent>()
  /** The streams in which somebody waits, the one that has waited longest first. */
  readonly #due = new DueQueue<Sequence>((sequence, dueMs) => this.#dueMs(sequence) === dueMs)
  #waiting = 0
  #waitingBytes = 0
  #isWatching = false

  constructor(parts: SequencesParts) {
    this.#parts = parts
    this.#sequences = new SequenceStore(parts.processor, parts.store)
  }

  /** To be called before a page is dealt with. */
  load(events: readonly RecordedEvent[]): Promise<void> {
    const streams = new Set<string>()
    for (const event of events) if (isNumbered(event)) streams.add(event.stream)
    return this.#sequences.load(streams)
  }

  /** A message for this handler: takes or drops it, now or later. */
  arrive(event: RecordedEvent): void {
    if (!isNumbered(event)) return this.#parts.take(event)
    const sequence = this.#sequenceOf(event)
    if (sequence.isDone(event.version)) this.#drop(event)
    // It may be the same message once more: a broker that was told that it is finished would forget the one that is not.
    else if (sequence.isOver(event.version)) sequence.keepCopy(event)
    else if (sequence.isNext(event.version)) this.#takeFrom(sequence, event)
    else this.#wait(sequence, event)
  }

  /**
   * A message whose number counts, though it is not to be handled. What it returns is to be committed when the message is finished; then, and not before, those
   * that waited for it have their turn, by `advance`: what they write of the stream must come after it.
   */
  pass(event: RecordedEvent): DocumentWrite | undefined {
    if (!isNumbered(event)) return undefined
    const sequence = this.#sequenceOf(event)
    if (sequence.isOver(event.version)) return undefined
    this.#uncommitted.add(event)
    sequence.uncommitted++
    sequence.finish(event.version)
    return this.#sequences.write(sequence)
  }

  advance(event: RecordedEvent): void {
    if (!isNumbered(event)) return
    const sequence = this.#sequences.get(event.stream)
    this.#takeWaiting(sequence)
    // Where nobody waits, gaps have all the time; but each makes what is written of the stream longer.
    if (sequence.gaps > this.#parts.order.maxWaiting) this.#giveUp(sequence, 'there are too many gaps')
  }

  /** A message that was finished before: what is written of its stream says so already, but where numbers did not count then. */
  recognise(event: RecordedEvent): void {
    if (!isNumbered(event)) return
    const sequence = this.#sequenceOf(event)
    if (sequence.isOver(event.version)) return
    sequence.finish(event.version)
    this.#takeWaiting(sequence)
  }

  /** A message that was taken is finished. What it returns is to be committed with what it led to. */
  finish(event: RecordedEvent): DocumentWrite | undefined {
    if (!isNumbered(event)) return undefined
    const sequence = this.#sequences.get(event.stream)
    sequence.finish(event.version)
    return this.#sequences.write(sequence)
  }

  committed(events: readonly RecordedEvent[]): void {
    for (const event of events) {
      if (!this.#uncommitted.delete(event)) continue
      const sequence = this.#sequences.get(event.stream)
      sequence.uncommitted--
      for (const copy of sequence.takeCopies(event.version)) this.#drop(copy)
    }
  }

  #sequenceOf({ stream, version }: RecordedEvent): Sequence {
    const sequence = this.#sequences.get(stream)
    if (this.#parts.order.beginsAnywhere && sequence.isNew) sequence.beginAt(version)
    return sequence
  }

  #takeFrom(sequence: Sequence, event: RecordedEvent): void {
    this.#take(sequence, event)
    this.#takeWaiting(sequence)
  }

  #take(sequence: Sequence, event: RecordedEvent): void {
    this.#uncommitted.add(event)
    sequence.begin()
    this.#parts.take(event)
  }

  #takeWaiting(sequence: Sequence): void {
    const sinceMs = sequence.waitingSinceMs
    if (sinceMs === undefined) return
    for (let next = sequence.takeNext(); next; next = sequence.takeNext()) {
      this.#count(-1, next)
      this.#take(sequence, next.event)
    }
    if (sequence.waitingSinceMs !== sinceMs) this.#enter(sequence)
  }

  #wait(sequence: Sequence, event: RecordedEvent): void {
    const { order, store } = this.#parts
    const isFirst = sequence.waitingSinceMs === undefined
    const message = { event, atMs: store.environment.clock.now(), bytes: JSON.stringify(event.data)?.length ?? 0 }
    sequence.wait(message)
    this.#count(1, message)
    if (isFirst) this.#enter(sequence)
    while (this.#waiting > order.maxWaiting || this.#waitingBytes > maxWaitingBytes) this.#giveUp(this.#due.first!, 'too many wait')
    if (!this.#isWatching) {
      this.#isWatching = true
      void this.#watch().catch(this.#parts.onFailed)
    }
  }

  #drop(event: RecordedEvent): void {
    const { processor, store, drop } = this.#parts
    const { id, stream, version } = event
    store.environment.metrics.count('headwater_messages_stale_total', 1, { processor })
    store.environment.log('warn', 'a message came after its turn and was dropped', { processor, stream, number: version, id })
    drop(event)
  }

  /** Looks after those who wait, until nobody does. */
  async #watch(): Promise<void> {
    const { processor, signal, store, onExpired } = this.#parts
    const { clock } = store.environment
    for (let first = this.#due.first; first; first = this.#due.first) {
      await clock.sleep(this.#dueMs(first) - clock.now(), signal)
      if (signal.aborted) return store.environment.metrics.gauge('headwater_sequence_waiting', 0, { processor })
      let hasExpired = false
      for (let due = this.#due.first; due && this.#dueMs(due) <= clock.now(); due = this.#due.first) {
        this.#giveUp(due, 'it did not come in time')
        hasExpired = true
      }
      if (hasExpired) onExpired()
    }
    this.#isWatching = false
  }

  #giveUp(sequence: Sequence, reason: string): void {
    const { processor, store } = this.#parts
    const { expected, found } = sequence.giveUpGap()
    store.environment.metrics.count('headwater_sequence_gaps_total', 1, { processor })
    store.environment.log('warn', 'a gap in a sequence was given up', { processor, stream: sequence.stream, expected, found, reason })
    this.#takeWaiting(sequence)
  }

  #enter(sequence: Sequence): void {
    if (sequence.waitingSinceMs !== undefined) this.#due.enter(sequence, this.#dueMs(sequence))
  }

  /** When its gap is given up; Infinity when nobody waits. */
  #dueMs({ waitingSinceMs }: Sequence): number {
    return waitingSinceMs === undefined ? Infinity : waitingSinceMs + this.#parts.order.waitMs
  }

  #count(by: 1 | -1, { bytes }: EarlyMessage): void {
    const { processor, store } = this.#parts
    this.#waiting += by
    this.#waitingBytes += by * bytes
    store.environment.metrics.gauge('headwater_sequence_waiting', this.#waiting, { processor })
  }
}

/** Messages without a number, or with one that cannot be counted on from, are in no order. */
function isNumbered({ version }: RecordedEvent): boolean {
  return version > 0 && version < Number.MAX_SAFE_INTEGER
}
