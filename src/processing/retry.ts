import { HeadwaterError, InvalidDefinitionError, InvalidMessageError } from '../message/errors.ts'
import { UnknownEventError } from '../schema/upcast.ts'
import { backoffMs } from '../storage/backoff.ts'
import { InvalidEventError } from '../storage/errors.ts'

/** Thrown by a handler to say that another try would end in the same way: the message goes aside at once. */
export class PermanentError extends HeadwaterError {
  readonly code = 'permanent'
}

/** The handler took longer than its `timeoutMs`. */
export class HandlerTimeoutError extends HeadwaterError {
  readonly code = 'handler-timeout'

  constructor(handler: string, timeoutMs: number) {
    super(`${handler} took longer than ${timeoutMs} ms`)
  }
}

/** The process ended while it handled the message. */
export class ProcessEndedError extends HeadwaterError {
  readonly code = 'process-ended'

  constructor(processor: string) {
    super(`the process ended while ${processor} handled the message`)
  }
}

export interface RetryOptions {
  /** How often a message is tried before it is given up. Default: 8; with the waits below that takes about a minute. */
  readonly attempts?: number
  /** The longest wait after the first failure; it doubles with each. The wait itself is random below that. Default: 1,000. */
  readonly firstMs?: number
  /** The longest wait of all. Default: 300,000. */
  readonly maxMs?: number
  /** No further attempt begins when so much time has passed since the first failure. Default: without limit. */
  readonly maxTotalMs?: number
  /**
   * True for errors that no repetition would change. Messages that cannot be understood, definitions that are wrong and `PermanentError` are permanent in
   * any case.
   */
  readonly isPermanent?: (error: unknown) => boolean
}

export type RetryPolicy = Required<RetryOptions>

export function retryPolicy(options: RetryOptions = {}): RetryPolicy {
  return { attempts: 8, firstMs: 1_000, maxMs: 300_000, maxTotalMs: Infinity, isPermanent: () => false, ...options }
}

/**
 * How long to wait before the next attempt, after `failed` of them; undefined when there is none.
 * @see https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
 */
export function nextAttemptInMs(
  policy: RetryPolicy,
  { failed, error, sinceFirstFailureMs, random }: { failed: number; error: unknown; sinceFirstFailureMs: number; random: () => number },
): number | undefined {
  if (failed >= policy.attempts || isPermanent(policy, error)) return undefined
  const waitMs = backoffMs(failed - 1, policy, random)
  return sinceFirstFailureMs + waitMs > policy.maxTotalMs ? undefined : waitMs
}

export function isPermanent(policy: RetryPolicy, error: unknown): boolean {
  return permanentErrors.some((kind) => error instanceof kind) || policy.isPermanent(error)
}

const permanentErrors = [PermanentError, InvalidMessageError, InvalidDefinitionError, InvalidEventError, UnknownEventError]
