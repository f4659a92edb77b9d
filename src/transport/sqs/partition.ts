import type { Partition, ReceivedMessage } from '../port.ts'
import type { Held } from './held.ts'

/** What a partition asks of its subscription. */
export interface PartitionOwner {
  /** A batch was read: there is room for more. */
  refill(): void
  finish(messages: readonly ReceivedMessage[]): Promise<void>
  release(messages: readonly ReceivedMessage[]): Promise<void>
}

/** A group's queue, for one call of `run`. */
export class SqsPartition implements Partition {
  readonly topic: string
  readonly number: undefined
  readonly #owner: PartitionOwner
  readonly #maxBytes: number
  readonly #revoked = new AbortController()
  readonly #waiting: Held[] = []
  #wake: () => void = () => {}

  constructor(topic: string, maxBytes: number, owner: PartitionOwner) {
    this.topic = topic
    this.#maxBytes = maxBytes
    this.#owner = owner
  }

  /** Messages that nobody has read yet. */
  get unread(): number {
    return this.#waiting.length
  }

  get revoked(): AbortSignal {
    return this.#revoked.signal
  }

  revoke(): void {
    this.#revoked.abort()
    this.#wake()
  }

  deliver(messages: readonly Held[]): void {
    for (const held of messages) this.#waiting.push(held)
    this.#wake()
  }

  /** SQS knows what is finished; `after` says nothing. A batch is what several requests have brought meanwhile, so that it can be acknowledged in as many at once. */
  async *read(): AsyncGenerator<readonly ReceivedMessage[], void, undefined> {
    while (!this.revoked.aborted) {
      const batch = this.#takeBatch()
      if (batch.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve))
      else {
        this.#owner.refill()
        yield batch
      }
    }
  }

  #takeBatch(): readonly ReceivedMessage[] {
    let bytes = 0
    const end = this.#waiting.findIndex((held, index) => (bytes += held.bytes) > this.#maxBytes && index > 0)
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : end).map(({ message }) => message)
  }

  acknowledge(messages: readonly ReceivedMessage[]): Promise<void> {
    return this.#owner.finish(messages)
  }

  release(messages: readonly ReceivedMessage[]): Promise<void> {
    return this.#owner.release(messages)
  }
}
