import type { BatchResultErrorEntry, Message } from '@aws-sdk/client-sqs'
import type { SqsClient } from './client.ts'
import { maxHiddenSec } from './delay.ts'
import { isEntryRefusal, isRefusal } from './failure.ts'
import type { Held } from './held.ts'
import { maxEntries } from './wire.ts'

/** What became of messages that SQS was told about. */
export interface Told {
  readonly done: readonly Held[]
  /** It could not be told. It can be tried again. */
  readonly failed: readonly Held[]
  /** SQS does not know them any more as this process's: their time was up, or they are finished. */
  readonly lost: readonly Held[]
}

/** A message that came before it is due. */
export interface Early {
  readonly receiptHandle: string
  readonly hiddenMs: number
}

/** The queue of one group, as its consumer uses it. */
export class GroupQueue {
  readonly url: string
  readonly #client: SqsClient
  readonly #fifo: boolean
  readonly #visibilityTimeoutSec: number

  constructor(url: string, client: SqsClient, fifo: boolean, visibilityTimeoutSec: number) {
    this.url = url
    this.#client = client
    this.#fifo = fifo
    this.#visibilityTimeoutSec = visibilityTimeoutSec
  }

  /** With the `attempt` of a request whose answer was lost, a FIFO queue gives the same messages again, which would otherwise stay hidden for a while. */
  async receive(count: number, waitTimeSec: number, attempt: string): Promise<readonly Message[]> {
    const { Messages = [] } = await this.#client.receiveMessage({
      QueueUrl: this.url,
      MaxNumberOfMessages: Math.min(count, maxEntries),
      WaitTimeSeconds: waitTimeSec,
      VisibilityTimeout: this.#visibilityTimeoutSec,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['MessageGroupId', 'MessageDeduplicationId', 'SentTimestamp'],
      ...(this.#fifo && { ReceiveRequestAttemptId: attempt }),
    })
    return Messages
  }

  /** At most ten. */
  delete(messages: readonly Held[]): Promise<Told> {
    const Entries = messages.map(({ receiptHandle }, index) => ({ Id: String(index), ReceiptHandle: receiptHandle }))
    return tell(messages, () => this.#client.deleteMessageBatch({ QueueUrl: this.url, Entries }))
  }

  /** Hides messages for the whole time once more. */
  keepHidden(messages: readonly Held[]): Promise<Told> {
    return this.#changeVisibility(messages, this.#visibilityTimeoutSec)
  }

  /** Hides messages that nobody holds until they are due. At most ten. Should it fail they come again, and are hidden then. */
  async hide(messages: readonly Early[]): Promise<void> {
    const Entries = messages.map(({ receiptHandle, hiddenMs }, index) => ({
      Id: String(index),
      ReceiptHandle: receiptHandle,
      VisibilityTimeout: Math.min(Math.ceil(hiddenMs / 1_000), maxHiddenSec),
    }))
    await this.#client.changeVisibilityBatch({ QueueUrl: this.url, Entries }).catch(() => undefined)
  }

  /** Last ones first: when the first message of a key can be seen again, so can all behind it. */
  async show(messages: readonly Held[]): Promise<void> {
    const backwards = messages.toReversed()
    for (let first = 0; first < backwards.length; first += maxEntries)
      await this.#changeVisibility(backwards.slice(first, first + maxEntries), 0)
  }

  #changeVisibility(messages: readonly Held[], timeoutSec: number): Promise<Told> {
    const Entries = messages.map(({ receiptHandle }, index) => ({
      Id: String(index),
      ReceiptHandle: receiptHandle,
      VisibilityTimeout: timeoutSec,
    }))
    return tell(messages, () => this.#client.changeVisibilityBatch({ QueueUrl: this.url, Entries }))
  }
}

async function tell(
  messages: readonly Held[],
  send: () => Promise<{ readonly Failed?: BatchResultErrorEntry[] | undefined }>,
): Promise<Told> {
  try {
    const { Failed = [] } = await send()
    if (Failed.length === 0) return { done: messages, failed: [], lost: [] }
    const isRefused = new Map(Failed.map((entry) => [Number(entry.Id), isEntryRefusal(entry)]))
    const having = (verdict: boolean | undefined): Held[] => messages.filter((_, index) => isRefused.get(index) === verdict)
    return { done: having(undefined), failed: having(false), lost: having(true) }
  } catch (error) {
    return isRefusal(error) ? { done: [], failed: [], lost: messages } : { done: [], failed: messages, lost: [] }
  }
}
