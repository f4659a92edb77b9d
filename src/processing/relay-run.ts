import type { RecordedEvent } from '../message/event.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import { encodeMessage } from '../transport/wire.ts'
import { CheckpointWriter } from './checkpoint-writer.ts'
import type { Parcel, PublishFailure } from './in-flight.ts'
import { InFlight } from './in-flight.ts'
import type { Page } from './log-source.ts'
import { LogSource } from './log-source.ts'
import type { OperatorAction } from './operator-action.ts'
import { describePlace } from './page-runner.ts'
import type { ProcessingContext, Tenure } from './processor.ts'
import { RelayLetters } from './relay-letters.ts'

export interface RelayParts {
  readonly topic: Topic
  readonly connection: TransportConnection
  readonly context: ProcessingContext
}

/** Of one call: so many messages are made without a pause, in which nothing else of this process gets its turn. */
const parcelEvents = 500
/** While there is more to publish, the checkpoint is written so often; so much is published again after a crash, and what was in flight. */
const saveEveryMs = 100

/** One time of relaying a topic, from taking the lease to losing it or giving it back. */
export class RelayRun {
  readonly #parts: RelayParts
  readonly #tenure: Tenure
  readonly #writer: CheckpointWriter
  readonly #letters: RelayLetters
  readonly #broken = new AbortController()
  /** Aborted when the relay is to stop, has lost its lease, or can commit nothing any more. */
  readonly #signal: AbortSignal
  /** Everything up to this position is confirmed by the broker, or put aside. */
  readonly #reached: { position: number; readonly state: undefined }
  /** A checkpoint beyond it says that it goes on. */
  #stoodAt: number
  /** Events are published that the checkpoint does not know of. */
  #hasUnsaved = false
  #isOver = false

  constructor(parts: RelayParts, tenure: Tenure) {
    const { topic, connection, context } = parts
    const { lease } = tenure
    this.#parts = parts
    this.#tenure = tenure
    this.#signal = AbortSignal.any([tenure.signal, this.#broken.signal])
    this.#reached = { position: lease.position, state: undefined }
    this.#stoodAt = lease.position
    this.#writer = new CheckpointWriter({
      tenure,
      store: context.store,
      progress: this.#reached,
      circumstances: () => ({}),
      onCommitted: (_, finished, through) => this.#committed(finished, through),
      onFailed: (error) => this.#broken.abort(error),
    })
    this.#letters = new RelayLetters({
      processor: lease.processor,
      topic,
      connection,
      store: context.store,
      writer: this.#writer,
      signal: this.#signal,
      onFailed: (error) => this.#broken.abort(error),
    })
  }

  /** Does what an operator asks for. */
  act(action: OperatorAction): void {
    if (!this.#isOver && !this.#signal.aborted) this.#letters.act(action)
  }

  async run(): Promise<void> {
    try {
      while (!this.#signal.aborted) {
        const failure = await this.#publishLog()
        if (failure) await this.#stumble(failure)
      }
    } catch (error) {
      this.#broken.abort(error)
    }
    await this.#letters.settled()
    if (!this.#tenure.lease.lost.aborted) await this.#writer.flush()
    this.#isOver = true
    this.#writer.close()
    if (this.#broken.signal.aborted) throw this.#broken.signal.reason
  }

  /** Publishes until it is to stop, or an event cannot be published; then everything that was in flight has landed. */
  async #publishLog(): Promise<PublishFailure | undefined> {
    const { topic, connection } = this.#parts
    const flight = new InFlight({
      publish: async (messages) => connection.publish(topic.name, messages),
      onRefused: (event, error) => this.#letters.putAside(event, error),
      onThrough: (position, count) => this.#passed(position, count),
    })
    try {
      await this.#feed(flight)
    } finally {
      await flight.landed()
    }
    return flight.failure
  }

  async #feed(flight: InFlight): Promise<void> {
    const { topic, context } = this.#parts
    const source = new LogSource(context.store, context.tail, Object.keys(topic.events))
    for await (const page of source.pages(this.#reached.position, this.#signal)) {
      for (const part of partsOf(page)) {
        await flight.room()
        // A call that has failed is known by the next turn of the event loop: nothing is handed over behind it.
        await nextTurn()
        if (flight.isFailing || this.#signal.aborted) return
        flight.send(parcelOf(part, topic))
      }
      if (page.events.length === 0 && page.through >= context.tail.head) await this.#rest(page.through, flight)
    }
  }

  /** Waits for more to publish, or for what is in flight and then for the checkpoint: neither keeps the next event waiting. */
  async #rest(through: number, flight: InFlight): Promise<void> {
    const { tail } = this.#parts.context
    const grown = (): Promise<void> => tail.grown(through, Infinity, this.#signal)
    if (!flight.isEmpty) return Promise.race([grown(), flight.landed()])
    if (this.#hasUnsaved) {
      await Promise.race([grown(), this.#writer.flush()])
      return
    }
    await this.#tenure.recover()
    this.#tenure.live()
    await grown()
  }

  #passed(position: number, count: number): void {
    this.#reached.position = Math.max(this.#reached.position, position)
    if (count === 0) return this.#writer.passed()
    this.#hasUnsaved = true
    this.#writer.finishedWithoutEffect(count, saveEveryMs)
  }

  #committed(finished: number, through: number): void {
    const { context } = this.#parts
    const { lease } = this.#tenure
    this.#hasUnsaved = through < this.#reached.position
    if (finished > 0) context.store.environment.metrics.count('headwater_processor_events_total', finished, { processor: lease.processor })
    this.#tenure.moved(through)
    if (through > this.#stoodAt) void this.#tenure.recover()
  }

  async #stumble({ event, error }: PublishFailure): Promise<void> {
    await this.#writer.flush()
    if (this.#signal.aborted) return
    this.#stoodAt = this.#reached.position
    await this.#tenure.stumble(error, describePlace(event))
  }
}

function partsOf({ events, through }: Page): readonly Page[] {
  const parts: Page[] = []
  for (let next = 0; next < events.length; next += parcelEvents) {
    const part = events.slice(next, next + parcelEvents)
    parts.push({ events: part, through: next + parcelEvents < events.length ? part.at(-1)!.position : through })
  }
  return parts.length > 0 ? parts : [{ events, through }]
}

/** The code of the topic may throw for an event: then those before it are published, and the relay stands still there. */
function parcelOf(part: Page, topic: Topic): Parcel {
  const events: RecordedEvent[] = []
  const messages: Parcel['messages'][number][] = []
  for (const event of part.events)
    try {
      if (!topic.includes(event)) continue
      messages.push(encodeMessage(event, topic))
      events.push(event)
    } catch (error) {
      return { events, messages, through: event.position - 1, unsendable: { event, error } }
    }
  return { events, messages, through: part.through }
}

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}
