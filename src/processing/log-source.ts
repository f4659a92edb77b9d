import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import { CheckpointBeyondLogError } from './errors.ts'
import type { Lease } from './lease-keeper.ts'
import type { LogTail } from './log-tail.ts'
import { firstPageEvents, nextPageEvents } from '../storage/page-size.ts'

/** Events to process, and the position up to which there are no others for this processor. */
export interface Page {
  readonly events: readonly RecordedEvent[]
  readonly through: number
}

/**
 * The log as one processor reads it: from the shared tail once it has caught up, by itself, one page ahead, while it is behind. Then the database
 * sends only the types that the processor wants, unless those are most of the log.
 */
export class LogSource {
  readonly #store: EventStore
  readonly #tail: LogTail
  readonly #types: ReadonlySet<string> | undefined
  /** Judged by the page before. */
  #wantsMost = false

  constructor(store: EventStore, tail: LogTail, types: readonly string[] | undefined) {
    this.#store = store
    this.#tail = tail
    this.#types = types && new Set(types)
  }

  /** Pages after `position`, for ever, until `signal` is aborted. A page without events says that the source has caught up for now. */
  async *pages(position: number, signal: AbortSignal): AsyncGenerator<Page> {
    let after = position
    let ahead: Promise<ReadPage> | undefined
    let limit = firstPageEvents
    while (!signal.aborted) {
      const recent = ahead ? undefined : this.#tail.after(after)
      if (recent) {
        after = recent.at(-1)?.position ?? after
        yield { events: this.#wanted(recent), through: after }
        continue
      }
      const page: ReadPage = await (ahead ?? this.#read(after, limit))
      after = page.through
      limit = nextPageEvents(page.events, { limit, bytes: pageBytes, maxEvents })
      ahead = page.isFull ? this.#read(after, limit) : undefined
      // Whoever stops iterating leaves this read behind; its failure must not end the process.
      ahead?.catch(() => undefined)
      yield page
    }
  }

  async #read(after: number, limit: number): Promise<ReadPage> {
    const upTo = this.#tail.head
    const types = this.#types && !this.#wantsMost ? [...this.#types] : undefined
    const read = await this.#store.readLogPage({ after, upTo, limit, ...(types && { types }) })
    const isFull = read.length === limit
    const through = isFull ? read.at(-1)!.position : upTo
    const events = types ? read : this.#wanted(read)
    this.#wantsMost = events.length >= (through - after) * mostOfTheLog
    return { events, through, isFull }
  }

  #wanted(events: readonly RecordedEvent[]): readonly RecordedEvent[] {
    const types = this.#types
    return types ? events.filter(({ type }) => types.has(type)) : events
  }
}

/** @throws CheckpointBeyondLogError */
export async function refuseCheckpointBeyondLog(store: EventStore, { processor, position }: Lease): Promise<void> {
  const { head } = await store.log()
  if (position > head) throw new CheckpointBeyondLogError(processor, position, head)
}

interface ReadPage extends Page {
  /** There may be more where it came from. */
  readonly isFull: boolean
}

/** Who wants at least this part of the log reads all of it, which is quicker than looking up each event by its type. */
const mostOfTheLog = 0.5

const pageBytes = 4 * 1024 * 1024
const maxEvents = 2_000
