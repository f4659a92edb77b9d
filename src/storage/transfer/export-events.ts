import type { WriteStream } from 'node:fs'
import { createWriteStream } from 'node:fs'
import { realpath, rename, rm, stat } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { toCloudEvent } from '../../message/cloud-event.ts'
import type { RecordedEvent } from '../../message/event.ts'
import type { EventStore } from '../event-store.ts'
import type { LogFilter } from '../port.ts'
import { TransferError } from './errors.ts'

export interface ExportOptions extends LogFilter {
  /** Default: 0, from the beginning. */
  readonly after?: number
  /** Default: the end of the log as it is when the export begins. */
  readonly upTo?: number
  /** Whether to pack the output. Default: when the target is a path that ends with `.gz`. */
  readonly gzip?: boolean
  readonly signal?: AbortSignal
  /** Called after each page. */
  readonly onProgress?: (progress: ExportProgress) => void
}

export interface ExportProgress {
  readonly exported: number
  /** Of the last event exported. */
  readonly position: number
  /** Where the export will end. */
  readonly upTo: number
}

/**
 * Writes the log in its order as CloudEvents NDJSON, to a stream (which stays open) or a file. Imported into an empty store, it gives the same
 * log. A file appears under its name when it is complete: until then it is called `<path>.partial`.
 * @throws TransferError when the target cannot be written, LogGapError; the reason of `signal` when that ends it
 */
export async function exportEvents(store: EventStore, target: string | Writable, options: ExportOptions = {}): Promise<ExportProgress> {
  const { signal } = options
  const upTo = options.upTo ?? (await store.log()).head
  let progress: ExportProgress = { exported: 0, position: options.after ?? 0, upTo }
  const reader = new PageReader(store, { ...options, upTo })
  const lines = reader.lines((page) => {
    progress = { exported: progress.exported + page.length, position: page.at(-1)!.position, upTo }
    options.onProgress?.(progress)
  })
  const isPath = typeof target === 'string'
  const gzip = options.gzip ?? (isPath && target.endsWith('.gz'))
  try {
    if (isPath) await writeFile(target, (stream) => pour(lines, stream, { gzip, end: true, signal }))
    else await pour(lines, target, { gzip, end: false, signal })
  } catch (error) {
    if (signal?.aborted || error === reader.failure) throw error
    const reason = error instanceof Error ? error.message : String(error)
    throw new TransferError(`cannot write ${isPath ? target : 'the export'}: ${reason}`, { cause: error })
  }
  return progress
}

/** Of JSON: pages hold as many events as make about this much, whatever the events are. */
const pageBytes = 1024 * 1024

class PageReader {
  readonly #store: EventStore
  readonly #options: ExportOptions & { readonly upTo: number }
  /** Why reading ended early: what else ends an export is the writer's fault. */
  failure: unknown

  constructor(store: EventStore, options: ExportOptions & { readonly upTo: number }) {
    this.#store = store
    this.#options = options
  }

  /** One text a page. The next page is read while this one is written. */
  async *lines(onPage: (page: readonly RecordedEvent[]) => void): AsyncGenerator<string> {
    let limit = 500
    let ahead: Promise<Page> | undefined = this.#read(this.#options.after ?? 0, limit)
    while (ahead) {
      const { events, isLast }: Page = await ahead
      ahead = isLast ? undefined : this.#read(events.at(-1)!.position, limit)
      if (events.length === 0) return
      let text = ''
      for (const event of events) text += `${JSON.stringify(toCloudEvent(event))}\n`
      limit = Math.max(10, Math.min(5_000, Math.floor((pageBytes * events.length) / text.length)))
      yield text
      onPage(events)
    }
  }

  #read(after: number, limit: number): Promise<Page> {
    const { upTo, types, categories, correlationId, query } = this.#options
    const filter: LogFilter = {
      ...(types && { types }),
      ...(categories && { categories }),
      ...(correlationId !== undefined && { correlationId }),
      ...(query && { query }),
    }
    const page = this.#store.readLogPage({ ...filter, after, upTo, limit }).then((events) => ({ events, isLast: events.length < limit }))
    // A page that is read ahead is awaited later, or never when writing ends before.
    page.catch((error: unknown) => (this.failure ??= error))
    return page
  }
}

interface Page {
  readonly events: readonly RecordedEvent[]
  readonly isLast: boolean
}

async function pour(
  lines: AsyncGenerator<string>,
  target: Writable,
  { gzip, end, signal }: { readonly gzip: boolean; readonly end: boolean; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const options = { end, ...(signal && { signal }) }
  if (gzip) await pipeline(lines, createGzip(), target, options)
  else await pipeline(lines, target, options)
}

/** Devices and pipes are written to as they are; a file takes its name when it is whole and on disk. */
async function writeFile(path: string, write: (stream: Writable) => Promise<void>): Promise<void> {
  const existing = await stat(path).catch(() => undefined)
  if (existing && !existing.isFile()) return write(createWriteStream(path))
  const final = existing ? await realpath(path) : path
  const partial = `${final}.partial`
  const stream = createWriteStream(partial, { flush: true })
  try {
    await write(stream)
    await rename(partial, final)
  } catch (error) {
    await closed(stream.destroy())
    await rm(partial, { force: true })
    throw error
  }
}

/** A file that is still being opened would be made after it was removed. */
async function closed(stream: WriteStream): Promise<void> {
  if (!stream.closed) await new Promise<void>((resolve) => stream.once('close', () => resolve()))
}
