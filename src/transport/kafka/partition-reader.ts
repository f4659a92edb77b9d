import type { ReceivedMessage } from '../port.ts'
import type { FetchRequest, FetchResult } from './client/fetcher.ts'

export interface ReaderLimits {
  readonly maxMessages: number
  readonly maxBytes: number
}

/** No request asks for less than this: a batch comes whole anyway. */
const leastFetchBytes = 16 * 1024
/** No request asks for more: what is fetched faster than it is read would only lie there. */
const mostFetchBytes = 1024 * 1024

/**
 * What was fetched of a partition and not read yet. It asks for more when less than half of what it may hold is left, and for as much as is likely to fill it: a slow
 * reader stops being fetched for, and nobody else is. The broker gives batches as they were written, so that one may be held beyond the limit.
 */
export class PartitionReader {
  readonly partition: number
  readonly #limits: ReaderLimits
  readonly #wanted: () => void
  readonly #passed: (lastOffset: number) => void
  #nextOffset: number
  #fetched: (readonly ReceivedMessage[])[] = []
  #messages = 0
  #bytes = 0
  /** Of the messages seen last, held and as they came, to know how many of them there is room for, and how much to ask for. */
  #bytesPerMessage = 256
  #wireBytesPerMessage = 256
  /** Of the message that came last. */
  #lastOffset: number
  /** Where to go on behind messages that have something behind them which nobody may see, such as the end of a transaction. */
  readonly #behind = new Map<number, number>()
  #failure: Error | undefined
  #ended = false
  #wake: (() => void) | undefined

  /**
   * @param wanted Called when there is room for more.
   * @param passed Called when more is known about what is behind the last message, of which nothing may be seen.
   */
  constructor(
    partition: number,
    nextOffset: number,
    limits: ReaderLimits,
    wanted: () => void,
    passed: (lastOffset: number) => void = () => {},
  ) {
    this.partition = partition
    this.#nextOffset = nextOffset
    this.#lastOffset = nextOffset - 1
    this.#limits = limits
    this.#wanted = wanted
    this.#passed = passed
  }

  /** Messages that are held. */
  get held(): number {
    return this.#messages
  }

  /** The offset at which to go on when all messages up to this one are finished, as far as it is known. */
  behind(offset: number): number {
    return this.#behind.get(offset) ?? offset + 1
  }

  /** All messages up to this one are finished, and not asked for any more. */
  forget(offset: number): void {
    for (const known of this.#behind.keys()) {
      if (known >= offset) return
      this.#behind.delete(known)
    }
  }

  /** What to fetch now; undefined while there is enough. */
  request(): FetchRequest | undefined {
    const { maxMessages, maxBytes } = this.#limits
    if (this.#ended || this.#failure || this.#messages > maxMessages / 2 || this.#bytes > maxBytes / 2) return undefined
    const room = Math.min((maxBytes - this.#bytes) / this.#bytesPerMessage, maxMessages - this.#messages)
    const bytes = Math.min(mostFetchBytes, Math.ceil(room * this.#wireBytesPerMessage))
    return { partition: this.partition, offset: this.#nextOffset, maxBytes: Math.max(leastFetchBytes, bytes) }
  }

  add({ from, messages, bytes, wireBytes, nextOffset }: FetchResult): void {
    // A partition that changes its leader can be asked for at both for a moment.
    if (this.#ended || from !== this.#nextOffset) return
    this.#nextOffset = nextOffset
    this.#lastOffset = messages.at(-1)?.offset ?? this.#lastOffset
    if (nextOffset > this.#lastOffset + 1) this.#behind.set(this.#lastOffset, nextOffset)
    if (messages.length === 0) {
      if (nextOffset > from) this.#passed(this.#lastOffset)
      return
    }
    this.#fetched.push(messages)
    this.#messages += messages.length
    this.#bytes += bytes
    this.#bytesPerMessage = bytes / messages.length
    this.#wireBytesPerMessage = wireBytes / messages.length
    this.#notify()
  }

  fail(error: Error): void {
    this.#failure = error
    this.#notify()
  }

  end(): void {
    this.#ended = true
    this.#fetched = []
    this.#messages = 0
    this.#notify()
  }

  async *batches(): AsyncGenerator<readonly ReceivedMessage[], void, undefined> {
    for (;;) {
      if (this.#ended) return
      const batch = this.#take()
      if (batch) {
        this.#wanted()
        yield batch
      } else if (this.#failure) throw this.#failure
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #take(): readonly ReceivedMessage[] | undefined {
    const first = this.#fetched.shift()
    if (!first) return undefined
    const count = this.#fitting(first)
    const batch = count === first.length ? first : first.slice(0, count)
    if (batch !== first) this.#fetched.unshift(first.slice(count))
    this.#bytes = this.#messages === count ? 0 : this.#bytes * (1 - count / this.#messages)
    this.#messages -= count
    return batch
  }

  /** How many may be given at once; one at least. */
  #fitting(messages: readonly ReceivedMessage[]): number {
    const { maxMessages, maxBytes } = this.#limits
    const most = Math.min(messages.length, maxMessages)
    // What was fetched within the limit needs no counting.
    if (this.#bytes <= maxBytes) return most
    let bytes = 0
    for (let count = 0; count < most; count++) {
      bytes += messages[count]!.body.byteLength
      if (bytes > maxBytes && count > 0) return count
    }
    return most
  }

  #notify(): void {
    this.#wake?.()
    this.#wake = undefined
  }
}
