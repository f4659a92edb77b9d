import { describeError } from '../../observability/log.ts'
import { MessageTooLargeError, TransportUnavailableError } from '../errors.ts'
import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { InvalidEventError } from '../../storage/errors.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { StreamAppend } from '../../storage/write-set.ts'
import { sizeOf, toEvent } from './wire.ts'

export interface PublisherOptions {
  readonly maxMessageBytes: number
  readonly publishTimeoutMs: number
}

interface Waiting {
  readonly append: StreamAppend
  readonly bytes: number
  readonly settle: (outcome: PublishOutcome) => void
}

/** Of one transaction; a message that is larger by itself goes alone. */
const maxBatch = { messages: 2_000, bytes: 4 * 1024 * 1024 }

const backoff = { firstMs: 50, maxMs: 2_000 }

/**
 * The messages of one topic on their way into the store, one transaction after the other, each with everything that came while the one before it was
 * flushed. One at a time, since a transaction that meets messages which are stored already is tried again without them, and what comes
 * later must not overtake it.
 */
export class Publisher {
  readonly #store: EventStore
  readonly #topic: string
  readonly #options: PublisherOptions
  #waiting: Waiting[] = []
  #isSending = false

  constructor(store: EventStore, topic: string, options: PublisherOptions) {
    this.#store = store
    this.#topic = topic
    this.#options = options
  }

  publish(messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    return Promise.all(messages.map((message) => this.#enqueue(message)))
  }

  /** Takes its place before it first waits, so that the order of calls is kept. */
  async #enqueue(message: OutgoingMessage): Promise<PublishOutcome> {
    const bytes = sizeOf(message)
    const { maxMessageBytes } = this.#options
    if (bytes > maxMessageBytes)
      return refused(new MessageTooLargeError(message.id, bytes, { bytes: maxMessageBytes, name: 'maxMessageBytes of the log' }))
    try {
      const { stream, event } = toEvent(this.#topic, message)
      const append: StreamAppend = { stream, expectedVersion: 'any', events: [this.#store.encode(event)] }
      return await new Promise<PublishOutcome>((settle) => {
        this.#waiting.push({ append, bytes, settle })
        if (!this.#isSending) void this.#send()
      })
    } catch (error) {
      if (error instanceof InvalidEventError) return refused(error)
      throw error
    }
  }

  async #send(): Promise<void> {
    this.#isSending = true
    // Calls of the same moment share the first transaction.
    await Promise.resolve()
    while (this.#waiting.length > 0) await this.#sendBatch()
    this.#isSending = false
  }

  async #sendBatch(): Promise<void> {
    const batch = this.#takeBatch()
    const settled = new AbortController()
    const late = this.#failWhileLate(batch, settled.signal)
    try {
      await this.#commit(withoutRepetitions(batch))
      for (const { settle } of batch) settle({ ok: true })
    } catch (error) {
      this.#fail(batch, new TransportUnavailableError(`the log did not take the messages: ${describeError(error)}`, { cause: error }))
    }
    settled.abort()
    await late
  }

  /** Also what has to be read between two attempts may meet a broken connection. The ids make it harmless to begin again. */
  async #commit(appends: readonly StreamAppend[]): Promise<void> {
    const { clock, random } = this.#store.environment
    const endsAtMs = clock.now() + this.#options.publishTimeoutMs
    for (let failures = 0; ; failures++) {
      try {
        await this.#store.commit({ appends }, { duplicates: 'skip' })
        return
      } catch (error) {
        if (!this.#store.driver.isTransient(error) || clock.now() >= endsAtMs) throw error
        await clock.sleep(backoffMs(failures, backoff, random))
      }
    }
  }

  /** A connection over which nothing comes back ends some time, but publishers want to know before. Nothing overtakes what is under way meanwhile. */
  async #failWhileLate(batch: readonly Waiting[], settled: AbortSignal): Promise<void> {
    const { publishTimeoutMs } = this.#options
    for (;;) {
      await this.#store.environment.clock.sleep(publishTimeoutMs, settled)
      if (settled.aborted) return
      this.#fail(batch, new TransportUnavailableError(`the log has not taken the messages within ${publishTimeoutMs} ms`))
    }
  }

  /** Whatever was given meanwhile stands behind these messages, and may be of their keys. */
  #fail(batch: readonly Waiting[], error: Error): void {
    for (const { settle } of [...batch, ...this.#waiting.splice(0)]) settle({ ok: false, refused: false, error })
  }

  #takeBatch(): readonly Waiting[] {
    let bytes = 0
    const end = this.#waiting.findIndex((one, index) => index === maxBatch.messages || ((bytes += one.bytes) > maxBatch.bytes && index > 0))
    return this.#waiting.splice(0, end < 0 ? this.#waiting.length : end)
  }
}

/** The same message may have been given twice; the store takes it once, at its first place. */
function withoutRepetitions(batch: readonly Waiting[]): readonly StreamAppend[] {
  const ids = new Set<string>()
  return batch
    .map(({ append }) => append)
    .filter(({ events }) => {
      const known = ids.size
      for (const { id } of events) ids.add(id)
      return ids.size > known
    })
}

function refused(error: Error): PublishOutcome {
  return { ok: false, refused: true, error }
}
