import type { Partition, ReceivedMessage } from '../port.ts'
import type { Held } from './held.ts'

/** What a partition asks of its subscription. */
export interface PartitionOwner {
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
  readonly #batches: ReceivedMessage[][] = []
  #wake: () => void = () => {}

  constructor(topic: string, maxBytes: number, owner: PartitionOwner) {
    this.topic = topic
    this.#maxBytes = maxBytes
    this.#owner = owner
  }

  get revoked(): AbortSignal {
    return this.#revoked.signal
  }

  revoke(): void {
    this.#revoked.abort()
    this.#wake()
  }

  /** SQS gives out messages by number; here they become batches of about the size that was asked for. */
  deliver(messages: readonly Held[]): void {
    let batch: ReceivedMessage[] = []
    let left = this.#maxBytes
    for (const { message, bytes } of messages) {
      if (batch.length > 0 && bytes > left) {
        this.#batches.push(batch)
        batch = []
        left = this.#maxBytes
      }
      batch.push(message)
      left -= bytes
    }
    this.#batches.push(batch)
    this.#wake()
  }

  /** SQS knows what is finished; `after` says nothing. */
  async *read(): AsyncGenerator<readonly ReceivedMessage[], void, undefined> {
    while (!this.revoked.aborted) {
      const batch = this.#batches.shift()
      if (batch) yield batch
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  acknowledge(messages: readonly ReceivedMessage[]): Promise<void> {
    return this.#owner.finish(messages)
  }

  release(messages: readonly ReceivedMessage[]): Promise<void> {
    return this.#owner.release(messages)
  }
}
