import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { LogTail } from './log-tail.ts'

/** Events to process, and the position up to which there are no others for this processor. */
export interface Page {
  readonly events: readonly RecordedEvent[]
  readonly through: number
}

/**
 * The log as one processor reads it: from the shared tail once it has caught up, by itself, one page ahead, while it is behind. Then the database
 * sends only the types that the processor wants.
 */
export class LogSource {
  readonly #store: EventStore
  readonly #tail: LogTail
  readonly #types: ReadonlySet<string> | undefined

  constructor(store: EventStore, tail: LogTail, types: readonly string[] | undefined) {
    this.#store = store
    this.#tail = tail
    this.#types = types && new Set(types)
  }

  /** Pages after `position`, for ever, until `signal` is aborted. A page without events says that the source has caught up for now. */
  async *pages(position: number, signal: AbortSignal): AsyncGenerator<Page> {
    let after = position
    let ahead: Promise<Page> | undefined
    let limit = 500
    while (!signal.aborted) {
      const recent = ahead ? undefined : this.#tail.after(after)
      if (recent) {
        const events = this.#types ? recent.filter(({ type }) => this.#types!.has(type)) : recent
        after = recent.at(-1)?.position ?? after
        yield { events, through: after }
        continue
      }
      const page: Page = await (ahead ?? this.#read(after, limit))
      const isFull = page.events.length === limit
      after = page.through
      limit = nextLimit(page.events)
      ahead = isFull ? this.#read(after, limit) : undefined
      // Whoever stops iterating leaves this read behind; its failure must not end the process.
      ahead?.catch(() => undefined)
      yield page
    }
  }

  async #read(after: number, limit: number): Promise<Page> {
    const upTo = this.#tail.head
    const types = this.#types && [...this.#types]
    const events = await this.#store.readLogPage({ after, upTo, limit, ...(types && { types }) })
    return { events, through: events.length === limit ? events.at(-1)!.position : upTo }
  }
}

const pageBytes = 4 * 1024 * 1024

/** As many events as make about `pageBytes`, judged by three of the page before, so that large payloads do not fill the memory. */
function nextLimit(events: readonly RecordedEvent[]): number {
  const samples = [events[0], events[events.length >> 1], events.at(-1)].filter((event) => event !== undefined)
  if (samples.length === 0) return 500
  const largest = Math.max(...samples.map(({ data }) => JSON.stringify(data).length + 400))
  return Math.max(10, Math.min(5_000, Math.floor(pageBytes / largest)))
}
