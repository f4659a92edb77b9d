import { HeadwaterError } from '../../message/errors.ts'
import { StorageError, StoreUnavailableError, UnsupportedStoreError } from '../errors.ts'

// SQLite's primary result codes: https://www.sqlite.org/rescode.html
const BUSY = 5
const LOCKED = 6
const READONLY = 8
const CORRUPT = 11
const FULL = 13
const CANTOPEN = 14
const PROTOCOL = 15
const NOTADB = 26

/** The primary result code of an error that SQLite raised; undefined for any other. */
function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return undefined
  return error.errcode & 0xff
}

/** Somebody else holds the lock now, or was faster to start using the log. Nothing happened; a moment later it may work. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error)
  return code === BUSY || code === LOCKED || code === PROTOCOL
}

/** Worth another try: a lock was not to be had, at once or in the time that we were ready to wait. */
export function isTransient(error: unknown): boolean {
  return error instanceof StoreUnavailableError || isBusy(error) || (error instanceof Error && isBusy(error.cause))
}

/** SQLite's error as one of ours that says what to do, with the original as its cause. Any other error is returned as it is. */
export function translate(error: unknown, path: string): unknown {
  const code = resultCode(error)
  if (code === undefined || error instanceof HeadwaterError || !(error instanceof Error)) return error
  const cause = { cause: error }
  switch (code) {
    case BUSY:
    case LOCKED:
    case PROTOCOL:
      return new StoreUnavailableError(`${path} is locked by somebody else`, cause)
    case READONLY:
      return new UnsupportedStoreError(`${path} cannot be written: check the permissions of the file and of its directory`, cause)
    case CANTOPEN:
      return new UnsupportedStoreError(
        `${path} cannot be opened: check that its directory exists and that both may be read and written`,
        cause,
      )
    case NOTADB:
      return new UnsupportedStoreError(`${path} is not an SQLite database`, cause)
    case CORRUPT:
      return new StorageError(`${path} is damaged (${error.message}): restore it from a backup`, cause)
    case FULL:
      return new StorageError(`there is no space left for ${path}`, cause)
    default:
      return new StorageError(`SQLite refused: ${error.message}`, cause)
  }
}
