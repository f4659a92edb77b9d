import type { RecordedEvent } from '../message/event.ts'
import type { Breaker } from './circuit-breaker.ts'
import type { RetryPolicy } from './retry.ts'

/**
 * What happens to a message that was tried in vain:
 * `'park'`: it waits for an operator, and all later ones of its key wait behind it, in order; other keys go on;
 * `'dead-letter'`: it is put aside alone, and later ones of its key go on without it;
 * `'retry-topics'`: after each failure it goes to a topic on the broker, where it is tried again later, while all others go on, later ones of its key too: order
 * is given up. When the last of these topics has failed, it is put aside alone, and a copy goes to the topic `<topic>.dlq`;
 * `'block'`: the whole handler waits, and tries it again for ever;
 * `'discard'`: it is dropped, counted and logged.
 */
export type WhenExhausted = 'park' | 'dead-letter' | 'retry-topics' | 'block' | 'discard'

/**
 * How often a message is handled, seen from the store in which the handler works:
 * `'exactly-once'`: a message that comes again is recognised and left out, so that what the handler does in the store (events that it emits, commands that it
 * sends, its checkpoint) happens once; what it does outside happens again when an attempt fails or the process dies;
 * `'at-least-once'`: nothing is remembered of messages that a broker gave, which is faster; what comes again is handled again. On the log, where
 * nothing comes again, it is the same as `'exactly-once'`;
 * `'at-most-once'`: a message counts as handled before the handler is called, and is discarded when that fails.
 */
export type Delivery = 'exactly-once' | 'at-least-once' | 'at-most-once'

/** How a handler's messages are handled, with all defaults in place. */
export interface LaneOptions {
  readonly keyOf: (event: RecordedEvent) => string
  readonly concurrency: number
  readonly timeoutMs: number
  readonly retry: RetryPolicy
  readonly whenExhausted: WhenExhausted
  /** How long a message waits in each of its retry topics; none unless `whenExhausted` says so. */
  readonly retryDelaysMs: readonly number[]
  /** True when a message is given up rather than tried twice: it counts as finished before the handler is called. */
  readonly atMostOnce: boolean
  /** Whether messages that may come again are remembered. */
  readonly remembers: boolean
  readonly breaker: Breaker | undefined
}
