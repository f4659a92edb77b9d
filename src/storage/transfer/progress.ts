export interface BadLine {
  /** Counted from 1, empty lines included. */
  readonly line: number
  readonly reason: string
}

export interface ImportProgress {
  /** Events stored. */
  readonly imported: number
  /** Events left out because they are in the log already: the same source and id, with the same stream, type and payload. */
  readonly skipped: number
  /** Lines that hold no event that can be stored, or one whose id is in the log with another content. */
  readonly bad: number
  /** Read from the source, before it is unpacked. */
  readonly bytesRead: number
  /** Size of the source, where it is a file. */
  readonly bytesTotal: number | undefined
}
