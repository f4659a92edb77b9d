import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { FencedError } from '../../storage/errors.ts'
import type { EventStore } from '../../storage/event-store.ts'
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
    let limit = Math.min(maxMessages, firstPage)
    let checked = false
    let failures = 0
    while (!this.revoked.aborted) {
      const woken = this.#wakeUp.count
      let page: readonly RecordedEvent[]
      try {
        const { head, firstPosition } = await this.#store.log()
        if (!checked) this.#checkRange(after, head, firstPosition)
        checked = true
        page = head > position ? await this.#store.driver.readLog({ after: position, upTo: head, limit, categories: [this.topic] }) : []
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
      limit = nextLimit(messages, Math.min(maxMessages, 4 * limit), maxBytes)
      for (const batch of batchesOf(messages, maxBytes)) {
        if (this.revoked.aborted) return
        const { topic, group } = this.#options
        this.#store.environment.metrics.count('headwater_transport_received_total', batch.length, { transport: 'log', topic, group })
        yield batch
      }
    }
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

  #checkRange(after: number, head: number, firstPosition: number): void {
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

function* batchesOf(messages: readonly ReceivedMessage[], maxBytes: number): Generator<readonly ReceivedMessage[]> {
  let batch: ReceivedMessage[] = []
  let bytes = 0
  for (const message of messages) {
    if (batch.length > 0 && bytes + message.body.length > maxBytes) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(message)
    bytes += message.body.length
  }
  yield batch
}
