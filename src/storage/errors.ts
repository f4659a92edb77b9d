import { HeadwaterError } from '../message/errors.ts'
import type { ExpectedVersion } from './write-set.ts'

/** Somebody else changed the stream. Load it again and decide anew; command handling does so by itself. */
export class VersionConflictError extends HeadwaterError {
  readonly code = 'version-conflict'
  readonly stream: string
  readonly expected: ExpectedVersion
  readonly actual: number

  constructor(stream: string, expected: ExpectedVersion, actual: number) {
    super(`stream ${stream} is at version ${actual}, expected ${expected}`)
    this.stream = stream
    this.expected = expected
    this.actual = actual
  }
}

/** An event came into the log that the append's condition rules out. */
export class ConditionFailedError extends HeadwaterError {
  readonly code = 'condition-failed'
  readonly position: number

  constructor(position: number) {
    super(`an event that the condition rules out was stored at position ${position}`)
    this.position = position
  }
}

/** An event id is in the log already, with another stream, type or payload, or only some ids of the call are. */
export class IdReusedError extends HeadwaterError {
  readonly code = 'id-reused'
}

/** A command id was used before, for another target or payload. */
export class CommandIdReusedError extends HeadwaterError {
  readonly code = 'command-id-reused'
}

/** The writer's lease on the processor was taken over; what it tried to write was refused. */
export class FencedError extends HeadwaterError {
  readonly code = 'fenced'
}

/** Another process has finished one of the messages in the meantime. The pipeline finds out which, and leaves them out. */
export class InboxConflictError extends HeadwaterError {
  readonly code = 'inbox-conflict'

  constructor(consumer: string) {
    super(`${consumer} has finished one of these messages already`)
  }
}

/** A name, payload or batch is over its limit, or holds what cannot be stored as JSON. Refused before it is queued. */
export class InvalidEventError extends HeadwaterError {
  readonly code = 'invalid-event'
}

/** More is to be written than the store can take at the moment, and the program asked to be told rather than to wait. Nothing was stored. */
export class OverloadError extends HeadwaterError {
  readonly code = 'overload'

  constructor(waiting: number) {
    super(`${waiting} writes wait to be committed already`)
  }
}

/** The store did not answer for as long as the caller was ready to wait. Whether the last attempt was committed is not known. */
export class StoreUnavailableError extends HeadwaterError {
  readonly code = 'store-unavailable'
}

/** The database refused for a reason that a retry would not change; see `cause`. */
export class StorageError extends HeadwaterError {
  readonly code = 'storage'
}

/** The database, its settings or the store's schema do not fit this program. The message says what to do. */
export class UnsupportedStoreError extends HeadwaterError {
  readonly code = 'unsupported-store'
}

/** The log has a hole: a position is missing where it must not. Reading stops, since whatever is derived from it would be wrong. */
export class LogGapError extends HeadwaterError {
  readonly code = 'log-gap'

  constructor(expected: number, found: number) {
    super(`the log goes from position ${expected - 1} to ${found}: ${expected} is missing`)
  }
}

/** An optional package is not installed. The message has the command. */
export class MissingPackageError extends HeadwaterError {
  readonly code = 'missing-package'

  constructor(packageName: string, what: string, cause: unknown) {
    super(`${what} needs the package ${packageName}: npm install ${packageName}`, { cause })
  }
}

/** The store has been closed. */
export class StoreClosedError extends HeadwaterError {
  readonly code = 'store-closed'

  constructor() {
    super('the store is closed')
  }
}
