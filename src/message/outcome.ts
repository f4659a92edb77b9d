import { HeadwaterError } from './errors.ts'
import type { RecordedEvent } from './event.ts'

/** The command was carried out. */
export interface Accepted {
  readonly ok: true
  /** Position of its last event, or of the log's end when it had none: a query that waits for it sees what the command did. */
  readonly position: number
  /** The version of the aggregate's stream afterwards. */
  readonly version: number
  /** The events that it led to. */
  readonly events: readonly RecordedEvent[]
  /** True when a command of the same id had been carried out before: this is its outcome. */
  readonly duplicate: boolean
}

/** The command was refused by a rule of the domain; nothing was stored. */
export interface Rejected<Code extends string = string> {
  readonly ok: false
  readonly code: Code
  readonly message: string
}

export type SendResult<Code extends string> = [Code] extends [never] ? Accepted : Accepted | Rejected<Code>

/** A command was rejected where the caller did not expect it. */
export class RejectedError extends HeadwaterError {
  readonly code = 'rejected'
  readonly rejection: string

  constructor({ code, message }: Rejected) {
    super(message === code ? code : `${code}: ${message}`)
    this.rejection = code
  }
}

/**
 * For callers to whom a rejection is a bug: the accepted outcome.
 * @throws RejectedError
 */
export function accepted(result: Accepted | Rejected): Accepted {
  if (!result.ok) throw new RejectedError(result)
  return result
}
