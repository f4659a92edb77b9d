import type { RecordedEvent } from '../message/event.ts'
import type { Origin } from './dead-letter.ts'
import type { Onward } from './onward.ts'
import type { SequenceOrder } from './sequences.ts'

/** Where a handler's messages come from: the store's log, or a topic. */
export interface MessageSource {
  /** Pages of messages after a position, in ascending order, for ever, until `signal` is aborted. */
  read(after: number, signal: AbortSignal): AsyncIterable<MessagePage>
  /** Whether messages that were finished are remembered by their source and id, because they may come again under positions of their own. */
  readonly remembers: boolean
  /** True when messages have no position of their own, and are numbered as they come, after all that were numbered before. */
  readonly renumbers?: boolean
  /** Where messages carry numbers of their streams by which they are put in order, wherever they stand. */
  readonly sequenceOrder?: SequenceOrder | undefined
  /** What to keep with a copy of the message, until it is finished; undefined where messages stay, and can be found again. */
  originOf(event: RecordedEvent): Origin | undefined
  /** A message that stays where it is. */
  find(position: number): Promise<RecordedEvent | undefined>
  /** What was done with these messages is committed, and so is that everything up to position `through` is finished. */
  finished?(events: readonly RecordedEvent[], through: number): void
  /** Where messages go that fail, instead of being tried again here. */
  readonly onward?: Onward
}

export interface MessagePage {
  readonly events: readonly RecordedEvent[]
  /** Those that could not be understood. */
  readonly problems?: readonly Problem[]
  /** Those that are not for this handler, but whose numbers count. */
  readonly others?: readonly RecordedEvent[]
  /** Up to here there are no other messages for this handler. */
  readonly through: number
  /** True when there is nothing more at the moment. */
  readonly isLast: boolean
}

/** A message that is none, or that nobody here knows. The event is as much of one as can be made of it. */
export interface Problem {
  readonly event: RecordedEvent
  readonly error: unknown
}
