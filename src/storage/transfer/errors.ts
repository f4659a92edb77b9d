import { HeadwaterError } from '../../message/errors.ts'
import type { BadLine, ImportProgress } from './progress.ts'

/** A strict import met a line that it cannot take. Nothing of the batch that the line is in was stored; `progress` says what was before. */
export class BadLineError extends HeadwaterError {
  readonly code = 'bad-line'
  readonly line: number
  readonly progress: ImportProgress

  constructor({ line, reason }: BadLine, progress: ImportProgress) {
    super(`line ${line}: ${reason}`)
    this.line = line
    this.progress = progress
  }
}

/** A file or stream to import cannot be read, or a file to export to cannot be written; see `cause`. */
export class TransferError extends HeadwaterError {
  readonly code = 'transfer'
}
