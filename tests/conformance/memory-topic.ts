import type {
  GroupPlace,
  OutgoingMessage,
  PartitionLag,
  Priority,
  ReceivedMessage,
  StartAt,
  SubscriptionOptions,
} from '../../src/transport/port.ts'

/** What a model of a broker does; the rest of the capabilities follows from it. */
export interface ModelOptions {
  readonly ordering: 'partition' | 'queue' | 'group' | 'none'
  /** Messages stay for groups that come later. Without it a group gets what is published after it was made. Brokers with partitions always do. */
  readonly keepsHistory: boolean
  readonly deduplicates: boolean
  readonly priorities: boolean
  readonly maxDelayMs: number
}

export interface Stored extends ReceivedMessage {
  /** Place among all messages of the topic, or partition. */
  readonly number: number
  readonly priority: Priority
}

/** A topic of the model, with its groups. */
export interface MemoryTopic {
  readonly partitions: number
  append(message: OutgoingMessage): void
  ensureGroup(group: string, startAt: StartAt): void
  /** Resolves to how to leave, once the member takes part. */
  join(options: SubscriptionOptions): () => Promise<void>
  resetGroup(group: string, startAt: StartAt): readonly GroupPlace[]
  lag(group: string): readonly PartitionLag[]
  forget(partition: number, upTo: number): void
}

/** Calls `run` until it returns, or rejects after it was revoked. */
export async function keepRunning(run: () => Promise<void>, revoked: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await run()
    } catch {
      if (revoked.aborted) return
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  }
}

/** As many of these as may be in one batch. */
export function batchOf(messages: readonly Stored[], { maxMessages, maxBytes }: SubscriptionOptions): readonly Stored[] {
  let bytes = 0
  const end = messages.slice(0, maxMessages).findIndex((message, index) => (bytes += message.body.length) > maxBytes && index > 0)
  return messages.slice(0, end < 0 ? maxMessages : end)
}

/** Somebody waits for something to change. */
export class Bell {
  #waiting: (() => void)[] = []

  ring(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  async heard(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return
    await new Promise<void>((resolve) => {
      this.#waiting.push(resolve)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
  }
}
