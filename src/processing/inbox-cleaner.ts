import { Periodic } from '../observability/periodic.ts'
import type { EventStore } from '../storage/event-store.ts'
import { deadLetterCollection } from './dead-letter.ts'
import type { DeadLetter } from './dead-letter.ts'
import { encodeCondition } from '../storage/field.ts'

export interface InboxCleanerOptions {
  /**
   * How long it is known of a message that it was handled, so that it is recognised when it comes again. It must be longer than any producer may take to send
   * a message twice, and than a topic may be put back. Default: 7 days.
   */
  readonly retentionMs?: number
  /** How often to look. Default: 10 minutes. */
  readonly everyMs?: number
}

/** Who reads from an inbox here, and has got through what was there when it began: what it finished long ago does not come again by itself. */
export interface InboxConsumers {
  readonly settledConsumers: Iterable<string>
}

/** At a time, so that nobody who commits waits for long. */
const pageSize = 2_000
const pauseMs = 20
/** Entries are made when a message's first failure is committed, a little later than the failure. */
const marginMs = 60_000

/**
 * Forgets messages that were finished long ago, of consumers that this process runs. Never those of one that has not caught up after a pause, since its broker may
 * give it again what it had finished; and never those that came after the oldest dead letter, which an operator may still want to have tried again.
 */
export class InboxCleaner {
  readonly #store: EventStore
  readonly #consumers: () => Iterable<InboxConsumers>
  readonly #retentionMs: number
  readonly #cleaning: Periodic

  constructor(store: EventStore, consumers: () => Iterable<InboxConsumers>, options: InboxCleanerOptions = {}) {
    this.#store = store
    this.#consumers = consumers
    this.#retentionMs = options.retentionMs ?? 7 * 24 * 60 * 60 * 1_000
    this.#cleaning = new Periodic({
      environment: store.environment,
      everyMs: options.everyMs ?? 10 * 60 * 1_000,
      complaint: 'an inbox could not be cleaned',
      work: () => this.clean(),
    })
  }

  start(): void {
    this.#cleaning.start()
  }

  stop(): Promise<void> {
    return this.#cleaning.stop()
  }

  /** Once, now. Resolves to how many entries were forgotten. */
  async clean(): Promise<number> {
    let count = 0
    for (const { settledConsumers } of this.#consumers()) for (const consumer of settledConsumers) count += await this.#cleanOne(consumer)
    return count
  }

  async #cleanOne(consumer: string): Promise<number> {
    const { driver, environment } = this.#store
    const beforeMs = Math.min(environment.clock.now() - this.#retentionMs, (await this.#oldestFailureMs(consumer)) - marginMs)
    let count = 0
    while (!this.#cleaning.signal.aborted) {
      const forgotten = await driver.inbox.forget({ consumer, beforeMs, limit: pageSize })
      count += forgotten
      if (forgotten < pageSize) break
      await environment.clock.sleep(pauseMs, this.#cleaning.signal)
    }
    return count
  }

  /** Infinity when there is none. */
  async #oldestFailureMs(processor: string): Promise<number> {
    const { id, indexed } = deadLetterCollection
    const [oldest] = await this.#store.driver.documents.find(id, {
      where: [encodeCondition(indexed.indexOf('processor'), processor), encodeCondition(indexed.indexOf('failedAt'), { from: '' })],
      sort: [{ field: indexed.indexOf('failedAt'), descending: false }],
      limit: 1,
    })
    const { failedAt } = oldest ? (JSON.parse(oldest.document) as DeadLetter) : { failedAt: null }
    return failedAt === null ? Infinity : Date.parse(failedAt)
  }
}
