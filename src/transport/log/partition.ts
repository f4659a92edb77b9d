import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { FencedError } from '../../storage/errors.ts'
import type { EventStore } from '../../storage/event-store.ts'
import type { LogState } from '../../storage/port.ts'
import type { RecordedEvent } from '../../message/event.ts'
import { OffsetOutOfRangeError } from '../errors.ts'
import type { Partition, ReceivedMessage } from '../port.ts'
import type { WakeUp } from './wake-up.ts'
import { fromEvent } from './wire.ts'

export interface PartitionOptions {
  readonly topic: string
  readonly group: string
  /** The lease, under which acknowledgements are written. */
  readonly processor: string
  readonly epoch: number
  readonly revoked: AbortSignal
  /** The position behind which reading begins that is told no other. */
  readonly startAfter: number
  readonly maxMessages: number
  readonly maxBytes: number
}

/** Nothing is known yet about how large the messages are. */
const firstPage = 10

/** From one write of acknowledgements to the next: they are for `lag` only, and not worth a flush each. */
const savePauseMs = 200

const backoff = { firstMs: 50, maxMs: 2_000 }

/** The whole topic, as the member sees it who has the lease. Offsets are positions in the log. */
export class LogPartition implements Partition {
  readonly topic: string
  readonly number = 0
  readonly revoked: AbortSignal
  readonly #store: EventStore
  readonly #wakeUp: WakeUp
  readonly #options: PartitionOptions
  #acknowledged = 0
  #saving: Promise<void> | undefined

  constructor(store: EventStore, wakeUp: WakeUp, options: PartitionOptions) {
    this.#store = store
    this.#wakeUp = wakeUp
    this.#options = options
    this.topic = options.topic
    this.revoked = options.revoked
  }

  async *read(after: number = this.#options.startAfter): AsyncGenerator<readonly ReceivedMessage[]> {
    const { maxMessages, maxBytes } = this.#options
    let position = after
    let head: number | undefined
    let limit = Math.min(maxMessages, firstPage)
    let ahead: Promise<readonly RecordedEvent[]> | undefined
    let failures = 0
    let woken = 0
    while (!this.revoked.aborted) {
      let page: readonly RecordedEvent[] = []
      try {
        if (head === undefined || head <= position) {
          woken = this.#wakeUp.count
          const log = await this.#store.log()
          if (head === undefined) this.#checkRange(after, log)
          head = log.head
        }
        if (head > position) {
          const reading = ahead ?? this.#page(position, head, limit)
          ahead = undefined
          page = await reading
        }
        // The rest of the log belongs to other topics, and is not looked through again.
        position = page.length === limit ? page.at(-1)!.position : Math.max(head, position)
        failures = 0
      } catch (error) {
        if (!this.#store.driver.isTransient(error)) throw error
        this.#store.environment.log('warn', 'the log could not be read', { topic: this.topic, error: describeError(error) })
        await this.#store.environment.clock.sleep(backoffMs(failures++, backoff, this.#store.environment.random), this.revoked)
        continue
      }
      if (page.length === 0) {
        await this.#wakeUp.after(woken, this.revoked)
        continue
      }
      const messages = page.map((event) => fromEvent(this.topic, event))
      // Half for what is read ahead.
      limit = nextLimit(messages, Math.min(maxMessages, 4 * limit), maxBytes / 2)
      const batches = batchesOf(messages, maxBytes / 2)
      for (const [index, batch] of batches.entries()) {
        if (this.revoked.aborted) return
        // One page ahead, while there are no others that were not asked for.
        if (index === batches.length - 1 && head > position) {
          ahead = this.#page(position, head, limit)
          // Whoever stops reading leaves it behind; its failure must not end the process.
          ahead.catch(() => undefined)
        }
        const { topic, group } = this.#options
        this.#store.environment.metrics.count('headwater_transport_received_total', batch.length, { transport: 'log', topic, group })
        yield batch
      }
    }
  }

  #page(after: number, upTo: number, limit: number): Promise<readonly RecordedEvent[]> {
    return this.#store.driver.readLog({ after, upTo, limit, categories: [this.topic] })
  }

  /** Notes how far the group is, for `lag`, soon. */
  async acknowledge(messages: readonly ReceivedMessage[]): Promise<void> {
    const offset = messages.at(-1)?.offset
    if (offset === undefined || offset <= this.#acknowledged) return
    this.#acknowledged = offset
    this.#saving ??= this.#save()
  }

  async release(): Promise<void> {}

  /** Resolves when what was acknowledged is written, or could not be. */
  async saved(): Promise<void> {
    await this.#saving
  }

  async #save(): Promise<void> {
    const { processor, epoch } = this.#options
    for (let saved = 0; saved < this.#acknowledged;) {
      const position = this.#acknowledged
      try {
        await this.#store.commit({ appends: [], checkpoint: { processor, epoch, position } })
      } catch (error) {
        // Fenced: somebody else is the owner now, or the group reads again what it has acknowledged before.
        if (!(error instanceof FencedError))
          this.#store.environment.log('warn', 'an acknowledgement was not written', { processor, error: describeError(error) })
      }
      saved = position
      await this.#store.environment.clock.sleep(savePauseMs, this.revoked)
    }
    this.#saving = undefined
  }

  #checkRange(after: number, { head, firstPosition }: LogState): void {
    if (after > head)
      throw new OffsetOutOfRangeError(
        `the log ends at ${head}, before the checkpoint ${after} of ${this.topic}: it is not the log that it was`,
      )
    if (after + 1 < firstPosition && after > 0)
      throw new OffsetOutOfRangeError(
        `the log begins at ${firstPosition}: what follows the checkpoint ${after} of ${this.topic} is not kept any more`,
      )
  }
}

/** As many messages as make about `maxBytes`, judged by the largest one just read; pages grow by and by, since the next ones may be larger. */
function nextLimit(messages: readonly ReceivedMessage[], atMost: number, maxBytes: number): number {
  const largest = Math.max(...messages.map(({ body }) => body.length)) + 200
  return Math.max(1, Math.min(atMost, Math.floor(maxBytes / largest)))
}

function batchesOf(messages: readonly ReceivedMessage[], maxBytes: number): readonly (readonly ReceivedMessage[])[] {
  const batches: ReceivedMessage[][] = []
  let bytes = Infinity
  for (const message of messages) {
    bytes += message.body.length
    if (bytes > maxBytes) {
      batches.push([])
      bytes = message.body.length
    }
    batches.at(-1)!.push(message)
  }
  return batches
}
