import type { RecordedEvent } from '../message/event.ts'
import type { EventStore } from '../storage/event-store.ts'
import { LogSource, refuseCheckpointBeyondLog } from './log-source.ts'
import type { MessagePage, MessageSource } from './message-source.ts'
import type { ProcessingContext, Tenure } from './processor.ts'

/** The store's own log as the source of a handler's messages: each comes once, and stays where it is. */
export class LogMessages implements MessageSource {
  readonly remembers = false
  readonly #context: ProcessingContext
  readonly #types: readonly string[]
  /** Whether the message is for this processor, where several share them. */
  readonly #isOurs: ((event: RecordedEvent) => boolean) | undefined

  /** @throws CheckpointBeyondLogError */
  static async open(
    types: readonly string[],
    context: ProcessingContext,
    { lease }: Tenure,
    isOurs?: (event: RecordedEvent) => boolean,
  ): Promise<LogMessages> {
    await refuseCheckpointBeyondLog(context.store, lease)
    return new LogMessages(types, context, isOurs)
  }

  private constructor(types: readonly string[], context: ProcessingContext, isOurs: ((event: RecordedEvent) => boolean) | undefined) {
    this.#types = types
    this.#isOurs = isOurs
    this.#context = context
  }

  async *read(after: number, signal: AbortSignal): AsyncIterable<MessagePage> {
    const { store, tail } = this.#context
    for await (const { events, through } of new LogSource(store, tail, this.#types).pages(after, signal)) {
      const isLast = through >= tail.head
      yield { events: this.#isOurs ? events.filter(this.#isOurs) : events, through, isLast }
      if (events.length === 0 && isLast) await tail.grown(through, Infinity, signal)
    }
  }

  originOf(): undefined {
    return undefined
  }

  async find(position: number): Promise<RecordedEvent | undefined> {
    return findInLog(this.#context.store, position)
  }
}

export async function findInLog(store: EventStore, position: number): Promise<RecordedEvent | undefined> {
  const [event] = await store.readLogPage({ after: position - 1, upTo: position, limit: 1 })
  return event
}
