import { HeadwaterError } from '../message/errors.ts'

/** A checkpoint is beyond the end of the log: the log was restored from an older copy, or the checkpoint belongs to another one. */
export class CheckpointBeyondLogError extends HeadwaterError {
  readonly code = 'checkpoint-beyond-log'

  constructor(processor: string, position: number, head: number) {
    super(
      `${processor} has processed up to position ${position}, but the log ends at ${head}: it was restored from an older copy, or is another one. ` +
        `Reset the processor when you know from where it must go on`,
    )
  }
}

/** A handler is not put anywhere else, since that would lose messages, repeat them unasked, or handle them out of order. Nothing was changed. */
export class ResetRefusedError extends HeadwaterError {
  readonly code = 'reset-refused'
}

/** There is no dead letter of this id: it was tried again with success, or discarded. */
export class UnknownDeadLetterError extends HeadwaterError {
  readonly code = 'unknown-dead-letter'

  constructor(id: string) {
    super(`there is no dead letter ${id}; if there was one, it has been dealt with`)
  }
}

/** A processor did not get as far as the caller was ready to wait for. */
export class WaitTimeoutError extends HeadwaterError {
  readonly code = 'wait-timeout'
  readonly position: number
  readonly behind: number

  constructor(what: string, wanted: number, position: number, timeoutMs: number, reason: string | undefined) {
    const behind = wanted - position
    super(
      `${what} did not reach position ${wanted} within ${timeoutMs} ms: it is at ${position}, ${behind} event${behind === 1 ? '' : 's'} behind` +
        (reason ? `, and stands still: ${reason}` : ''),
    )
    this.position = position
    this.behind = behind
  }
}
