import type { RecordedEvent } from '../message/event.ts'
import type { NumberRange } from './sequence-numbers.ts'
import { SequenceNumbers } from './sequence-numbers.ts'

/** A message that came before those that belong before it. */
export interface EarlyMessage {
  readonly event: RecordedEvent
  /** When it came, in milliseconds since 1970. */
  readonly atMs: number
  /** Of its data, as JSON. */
  readonly bytes: number
}

/** Numbers that were not waited for any longer: from `expected` on, below `found`. */
export interface Gap {
  readonly expected: number
  readonly found: number
}

/**
 * The numbers of one stream: which are done with, which one's turn is next, and who is here before their turn. What is done with is what is committed, and
 * never includes a message that is being handled: that one comes again after a crash, and must not look stale then.
 */
export class Sequence {
  readonly stream: string
  readonly #done: SequenceNumbers
  /** By number, in the order in which they came. */
  readonly #early = new Map<number, EarlyMessage>()
  /** Further messages that claim the number of one that is here and not done with. */
  readonly #copies = new Map<number, readonly RecordedEvent[]>()
  #next: number
  /** Messages that were given their turn, or are done with, and are not committed. */
  uncommitted = 0

  constructor(stream: string, done: readonly NumberRange[] | undefined) {
    this.stream = stream
    this.#done = new SequenceNumbers(done)
    this.#next = this.#done.firstMissing(1)
  }

  /** True when nothing of it was ever seen. */
  get isNew(): boolean {
    return this.#next === 1 && this.#early.size === 0 && this.#done.ranges.length === 0
  }

  /** True when it is as it was saved. */
  get isIdle(): boolean {
    return this.uncommitted === 0 && this.#early.size === 0
  }

  get done(): readonly NumberRange[] {
    return this.#done.ranges
  }

  /** When the oldest of the messages came that wait for their turn; undefined when none does. */
  get waitingSinceMs(): number | undefined {
    return this.#early.values().next().value?.atMs
  }

  /** What comes before this number is not missed. */
  beginAt(number: number): void {
    this.finish(1, number - 1)
  }

  /** True when its turn is over: it was given to another message, or nobody waits for it any more. */
  isOver(number: number): boolean {
    return number < this.#next || this.#done.has(number) || this.#early.has(number)
  }

  isDone(number: number): boolean {
    return this.#done.has(number)
  }

  isNext(number: number): boolean {
    return number === this.#next
  }

  /** The message with the next number is being handled. */
  begin(): void {
    this.uncommitted++
    this.#next = this.#done.firstMissing(this.#next + 1)
  }

  keepCopy(event: RecordedEvent): void {
    this.#copies.set(event.version, [...(this.#copies.get(event.version) ?? none), event])
  }

  takeCopies(number: number): readonly RecordedEvent[] {
    const copies = this.#copies.get(number) ?? none
    this.#copies.delete(number)
    return copies
  }

  wait(message: EarlyMessage): void {
    this.#early.set(message.event.version, message)
  }

  /** The message that waited for this turn, if it is here. */
  takeNext(): EarlyMessage | undefined {
    const message = this.#early.get(this.#next)
    if (message) this.#early.delete(this.#next)
    return message
  }

  finish(first: number, last: number = first): void {
    this.#done.add(first, last)
    this.#next = this.#done.firstMissing(this.#next)
  }

  /** Gaps behind which nobody waits, but other numbers are done with. */
  get gaps(): number {
    return this.#done.rangesAbove(this.#next)
  }

  /** The turn is that of the lowest number that waits; where none does, of what comes behind the first gap. To be called when there is a gap. */
  giveUpGap(): Gap {
    const expected = this.#next
    let found = Infinity
    for (const number of this.#early.keys()) found = Math.min(found, number)
    if (found === Infinity) found = this.#done.firstAbove(expected)
    this.finish(expected, found - 1)
    return { expected, found }
  }
}

const none: readonly never[] = []
