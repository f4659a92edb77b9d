import { stat } from 'node:fs/promises'
import type { ImportedEvent } from '../../message/cloud-event.ts'
import { fromCloudEvent } from '../../message/cloud-event.ts'
import { findStored, withoutStored } from '../duplicates.ts'
import { checkName } from '../encode.ts'
import type { EventStore } from '../event-store.ts'
import type { StreamAppend } from '../write-set.ts'
import type { BadLine, ImportProgress } from './progress.ts'
import { BadLineError, TransferError } from './errors.ts'
import { ImportBatch } from './import-batch.ts'
import { parseJson } from './json.ts'
import type { Line } from './lines.ts'
import { readLines } from './lines.ts'
import type { ImportSource } from './source.ts'
import { readSource } from './source.ts'

export interface ImportOptions {
  /** Stops at the first bad line and stores nothing of the batch it is in. Default: false, bad lines are reported and left out. */
  readonly strict?: boolean
  /** The stream of events that name none (a CloudEvent without `subject`). Default: such an event is a bad line. */
  readonly stream?: string
  /** Changes events before they are stored: renames streams or types, makes other payloads. What it throws makes the line a bad one. */
  readonly map?: (imported: ImportedEvent) => ImportedEvent
  /** Events stored in one transaction, from 1 to 10,000. Default: 2,000. */
  readonly batchSize?: number
  /** Ends the import after the batch that is being stored. */
  readonly signal?: AbortSignal
  readonly onBadLine?: (bad: BadLine) => void
  /** Called after each batch. */
  readonly onProgress?: (progress: ImportProgress) => void
}

export interface ImportResult extends ImportProgress {
  /** The end of the log afterwards: a query that waits for it sees everything that was imported. */
  readonly position: number
  /** True when `signal` ended the import early. */
  readonly interrupted: boolean
}

/**
 * Appends the events of a CloudEvents NDJSON file, plain or gzip, to the log, in the order of their lines. Nothing but one batch is held in
 * memory. An import that was ended, in whatever way, is completed by running it again: what is in the log already is skipped.
 * @throws BadLineError when `strict`; TransferError when the source cannot be read to its end (what could be read is stored, unless
 * `strict`); StoreUnavailableError, StorageError
 */
export async function importEvents(store: EventStore, source: ImportSource, options: ImportOptions = {}): Promise<ImportResult> {
  const { signal } = options
  const run = new ImportRun(store, options, await sizeOf(source))
  try {
    for await (const lines of readLines(readSource(source, { onRead: (bytes) => run.read(bytes), signal }))) {
      await run.take(lines)
      if (signal?.aborted) break
    }
  } catch (error) {
    if (!(error instanceof TransferError)) throw error
    if (!signal?.aborted) {
      await run.finish({ withRest: !options.strict })
      throw error
    }
  }
  await run.finish({ withRest: !signal?.aborted })
  const { head } = await store.log()
  return { ...run.progress, position: head, interrupted: signal?.aborted ?? false }
}

/** A batch is full of bytes as well, whatever its events are: memory stays flat, and so does the time that a transaction takes. */
const maxBatchBytes = 4 * 1024 * 1024

class ImportRun {
  readonly #store: EventStore
  readonly #options: ImportOptions
  readonly #batchSize: number
  #batch = new ImportBatch()
  /** The batch before: stored while this one is being read. */
  #storing: Promise<void> = Promise.resolve()
  #progress: { -readonly [Key in keyof ImportProgress]: ImportProgress[Key] }

  constructor(store: EventStore, options: ImportOptions, bytesTotal: number | undefined) {
    this.#store = store
    this.#options = options
    this.#batchSize = Math.min(Math.max(1, options.batchSize ?? 2_000), this.#store.limits.maxEventsPerAppend)
    this.#progress = { imported: 0, skipped: 0, bad: 0, bytesRead: 0, bytesTotal }
  }

  get progress(): ImportProgress {
    return { ...this.#progress }
  }

  read(bytes: number): void {
    this.#progress.bytesRead += bytes
  }

  async take(lines: readonly Line[]): Promise<void> {
    for (const line of lines) {
      if (this.#options.signal?.aborted) return
      const append = this.#decode(line)
      if (typeof append === 'string') await this.#refuse({ line: line.number, reason: append })
      else await this.#add(line.number, append)
    }
  }

  async finish({ withRest }: { readonly withRest: boolean }): Promise<void> {
    if (withRest) await this.#storeBatch()
    await this.#storing
  }

  /** The append of a line, or what is wrong with it. */
  #decode(line: Line): StreamAppend | string {
    if ('problem' in line) return line.problem
    try {
      const given = fromCloudEvent(parseJson(line.text))
      const named = { ...given, stream: given.stream ?? this.#options.stream }
      const { stream, event } = this.#options.map?.(named) ?? named
      if (stream === undefined) return 'the event has no subject, which would be its stream, and no stream was given for such events'
      checkName(stream, 'stream', this.#store.limits)
      return { stream, expectedVersion: 'any', events: [this.#store.encode(event)] }
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  async #add(line: number, append: StreamAppend): Promise<void> {
    const twin = this.#batch.twinOf(append)
    if (twin === undefined) this.#batch.add(line, append)
    else if (twin.differs) await this.#refuse({ line, reason: `the event has the id of the one in line ${twin.line} and is another` })
    else this.#progress.skipped++
    if (this.#batch.size >= this.#batchSize || this.#batch.bytes >= maxBatchBytes) await this.#storeBatch()
  }

  async #refuse(bad: BadLine): Promise<void> {
    if (this.#options.strict) {
      await this.#storing
      throw new BadLineError(bad, this.progress)
    }
    this.#report(bad)
  }

  #report(bad: BadLine): void {
    this.#progress.bad++
    this.#options.onBadLine?.(bad)
  }

  async #storeBatch(): Promise<void> {
    const batch = this.#batch
    this.#batch = new ImportBatch()
    await this.#storing
    this.#storing = this.#commit(batch)
    // Whoever awaits it next gets the failure; until then it is not an unhandled one.
    this.#storing.catch(() => {})
  }

  async #commit(batch: ImportBatch): Promise<void> {
    const fresh = await this.#leaveOutStored(batch)
    if (fresh.length > 0) {
      const { versions } = await this.#store.commit({ appends: fresh }, { duplicates: 'skip' })
      // One version an append: those that are missing were stored by somebody else in the meantime.
      this.#progress.imported += versions.length
      this.#progress.skipped += fresh.length - versions.length
    }
    this.#options.onProgress?.(this.progress)
  }

  async #leaveOutStored({ items }: ImportBatch): Promise<readonly StreamAppend[]> {
    const appends = items.map(({ append }) => append)
    const stored = await findStored(this.#store.driver, { appends })
    if (stored.size === 0) return appends
    const fresh: StreamAppend[] = []
    let skipped = 0
    for (const { line, append } of items) {
      const rest = withoutStored({ appends: [append] }, stored)
      if (rest.appends.length > 0) fresh.push(append)
      else if (rest.differing.length > 0) {
        const bad = { line, reason: `the event's id ${rest.differing[0]} is in the log already, with another stream, type or payload` }
        if (this.#options.strict) throw new BadLineError(bad, this.progress)
        this.#report(bad)
      } else skipped++
    }
    this.#progress.skipped += skipped
    return fresh
  }
}

async function sizeOf(source: ImportSource): Promise<number | undefined> {
  if (typeof source !== 'string') return undefined
  const file = await stat(source).catch(() => undefined)
  return file?.isFile() ? file.size : undefined
}
