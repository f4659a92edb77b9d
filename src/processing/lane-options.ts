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
  readonly breaker: Breaker | undefined
}
