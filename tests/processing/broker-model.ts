import type { RecordedEvent } from '../../src/message/event.ts'
import type { Origin } from '../../src/processing/dead-letter.ts'
import type { MessagePage, MessageSource, Problem } from '../../src/processing/message-source.ts'
import type { SequenceOrder } from '../../src/processing/sequences.ts'
import type { Item } from './lane-world.ts'

/** What is sent: a message, or one that cannot be understood. */
export interface Sent extends Item {
  readonly id: string
  readonly isBroken?: boolean
  /** Its number in its stream. Default: 1. */
  readonly version?: number
  /** Its type is not the handler's. */
  readonly isForOthers?: boolean
}

/**
 * Messages as three kinds of sources give them: the log (each once, always at its position), a partition (at its offset, perhaps several times under different
 * ones), a queue (numbered as they come; again, until they were acknowledged).
 */
export type SourceKind = 'log' | 'partition' | 'queue'

export class BrokerModel {
  readonly kind: SourceKind
  readonly sent: Sent[] = []
  /** Ids of what was acknowledged, by whichever copy: a queue forgets the message. */
  readonly acknowledged = new Set<string>()
  readonly #pageSize: () => number
  readonly #sequenceOrder: SequenceOrder | undefined
  readonly #remembers: boolean
  #bell = Promise.withResolvers<void>()

  constructor(
    kind: SourceKind,
    pageSize: () => number,
    { sequenceOrder, remembers = true }: { readonly sequenceOrder?: SequenceOrder; readonly remembers?: boolean } = {},
  ) {
    this.kind = kind
    this.#sequenceOrder = sequenceOrder
    this.#remembers = remembers
    this.#pageSize = pageSize
  }

  send(messages: readonly Sent[]): void {
    this.sent.push(...messages)
    this.#bell.resolve()
    this.#bell = Promise.withResolvers()
  }

  source(): MessageSource {
    const { kind } = this
    const eventOf = (index: number, position: number): RecordedEvent => recorded(this.sent[index]!, position)
    return {
      remembers: kind !== 'log' && this.#remembers,
      renumbers: kind === 'queue',
      sequenceOrder: this.#sequenceOrder,
      read: (after, signal) => this.#read(after, signal, eventOf),
      originOf: (event) => (kind === 'log' ? undefined : originOf(event)),
      find: async (position) => (kind === 'log' && position <= this.sent.length ? eventOf(position - 1, position) : undefined),
      ...(kind !== 'log' && {
        finished: (events: readonly RecordedEvent[]) => {
          for (const { id } of events) this.acknowledged.add(id)
        },
      }),
    }
  }

  async *#read(
    after: number,
    signal: AbortSignal,
    eventOf: (index: number, position: number) => RecordedEvent,
  ): AsyncIterable<MessagePage> {
    const isQueue = this.kind === 'queue'
    let next = isQueue ? 0 : after
    let position = after
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (!signal.aborted) {
      const events: RecordedEvent[] = []
      const problems: Problem[] = []
      const others: RecordedEvent[] = []
      const last = Math.min(this.sent.length, next + this.#pageSize())
      for (; next < last; next++) {
        if (isQueue && this.acknowledged.has(this.sent[next]!.id)) continue
        position = isQueue ? position + 1 : next + 1
        const event = eventOf(next, position)
        if (this.sent[next]!.isBroken) problems.push({ event, error: new Error('it is none') })
        else if (this.sent[next]!.isForOthers) others.push(event)
        else events.push(event)
      }
      const isLast = next >= this.sent.length
      const bell = this.#bell.promise
      yield { events, problems, others, through: isQueue ? position : next, isLast }
      if (isLast && next >= this.sent.length) await Promise.race([bell, aborted])
    }
  }
}

function recorded({ id, key, n, version = 1 }: Sent, position: number): RecordedEvent {
  return {
    stream: `asked:${key}`,
    version,
    type: 'Asked',
    schemaVersion: 1,
    position,
    id,
    source: 'elsewhere',
    time: new Date(0),
    data: { key, n },
    correlationId: id,
    causationId: id,
    metadata: {},
    tags: [],
  }
}

function originOf({ position }: RecordedEvent): Origin {
  return { topic: 't', partition: 0, offset: position - 1 }
}
