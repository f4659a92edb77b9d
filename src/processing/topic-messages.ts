import type { RecordedEvent } from '../message/event.ts'
import { validate } from '../message/schema.ts'
import { uuidFrom } from '../message/id.ts'
import { checkName } from '../storage/encode.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { Partition, ReceivedMessage } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import { UnauthenticatedMessageError } from '../transport/errors.ts'
import { decodeMessage, unauthenticatedEvent, unreadableEvent } from '../transport/wire.ts'
import type { Origin } from './dead-letter.ts'
import type { MessagePage, MessageSource, Problem } from './message-source.ts'
import type { SequenceOrder } from './sequences.ts'

export interface TopicMessagesParts {
  readonly topic: Topic
  /** The events that the handler is on. */
  readonly types: ReadonlySet<string>
  readonly partition: Partition
  /** True when the consumer keeps the offsets: a position is an offset and one. Else messages are numbered as they come. */
  readonly keepsOffsets: boolean
  /** Where the topic is sequenced: whether a stream that is new may begin with any number. Default: false. */
  readonly beginsAnywhere?: boolean
  /** Whether what was finished is remembered, so that it is recognised when it comes again. */
  readonly remembers: boolean
  readonly store: EventStore
  /** What a message was on the topic from which it was sent here. Default: it is as it came. */
  readonly originalOf?: (message: ReceivedMessage) => ReceivedMessage
}

const keptHeaderBytes = 4_000
const maxPageMessages = 2_000
/** What others wrote and a store keeps as names. */
const names = ['id', 'source', 'type', 'stream'] as const

/** A partition of a topic as the source of a handler's messages. They may come more than once, and are copied when they are held. */
export class TopicMessages implements MessageSource {
  readonly remembers: boolean
  readonly renumbers: boolean
  readonly sequenceOrder: SequenceOrder | undefined
  readonly #parts: TopicMessagesParts
  /** What the events were made of, by their positions, until they are finished. (A WeakMap of the events would cost the garbage collector more than all else here.) */
  readonly #received = new Map<number, ReceivedMessage>()
  readonly #unknownTypes = new Set<string>()
  #finishedCount = 0
  #acknowledgedOffset = -1
  /** The last message of each batch that is not finished as a whole. */
  readonly #ends: ReceivedMessage[] = []

  constructor(parts: TopicMessagesParts) {
    this.#parts = parts
    this.remembers = parts.remembers
    this.renumbers = !parts.keepsOffsets
    const { beginsAnywhere = false, topic } = parts
    this.sequenceOrder = topic.sequenced && { ...topic.sequenced, beginsAnywhere }
  }

  /** Messages that are finished, those that were for nobody here and those that came again included. */
  get finishedCount(): number {
    return this.#finishedCount
  }

  async *read(after: number, signal: AbortSignal): AsyncIterable<MessagePage> {
    const { keepsOffsets, partition } = this.#parts
    let position = after
    yield { events: [], through: position, isLast: true }
    for await (const messages of pages(until(signal, partition.read(keepsOffsets ? after - 1 : undefined)))) {
      const events: RecordedEvent[] = []
      const problems: Problem[] = []
      const others: RecordedEvent[] = []
      const unwanted: ReceivedMessage[] = []
      for (const message of messages) {
        position = keepsOffsets ? message.offset! + 1 : position + 1
        const read = this.#decode(message, position)
        if (!read) unwanted.push(message)
        else if ('error' in read) problems.push(read)
        else if (this.#parts.types.has(read.type)) events.push(read)
        else others.push(read)
        if (read) this.#received.set(position, message)
      }
      if (keepsOffsets) this.#ends.push(...messages.slice(-1))
      this.#finishedCount += unwanted.length
      if (unwanted.length > 0 && !keepsOffsets) void partition.acknowledge(unwanted).catch(() => undefined)
      yield { events, problems, others, through: position, isLast: true }
    }
  }

  /** What the event was made of, as it came; undefined once it is finished. */
  receivedOf({ position }: RecordedEvent): ReceivedMessage | undefined {
    return this.#received.get(position)
  }

  originOf(event: RecordedEvent): Origin | undefined {
    const message = this.#received.get(event.position)
    if (!message) return undefined
    const { topic, partition = null, offset = null, headers, attributes } = this.#originalOf(message)
    return {
      topic,
      partition,
      offset,
      headers: shortened({ ...headers, ...attributes }),
      ...(event.data === null && { raw: Buffer.from(message.body).toString('base64') }),
    }
  }

  /** Held ones are copies: what is not there is nowhere. */
  async find(): Promise<undefined> {
    return undefined
  }

  finished(events: readonly RecordedEvent[], through: number): void {
    const messages: ReceivedMessage[] = []
    for (const { position } of events) {
      const message = this.#received.get(position)
      if (!message) continue
      messages.push(message)
      this.#received.delete(position)
    }
    this.#finishedCount += messages.length
    const acknowledged = this.#parts.keepsOffsets ? this.#upTo(through, messages) : messages
    // Should it fail they come again, and are recognised.
    if (acknowledged.length > 0) void this.#parts.partition.acknowledge(acknowledged).catch(() => undefined)
  }

  /**
   * The last message that nothing unfinished comes before: a broker that keeps an offset for a group takes it for how far the group has come. Messages are
   * finished out of order, and some were finished by an earlier run, which are not given here.
   */
  #upTo(through: number, finished: readonly ReceivedMessage[]): readonly ReceivedMessage[] {
    let last: ReceivedMessage | undefined
    const look = (message: ReceivedMessage): void => {
      if (message.offset! < through && message.offset! > (last?.offset ?? this.#acknowledgedOffset)) last = message
    }
    finished.forEach(look)
    while (this.#ends[0] && this.#ends[0].offset! < through) look(this.#ends.shift()!)
    if (!last) return []
    this.#acknowledgedOffset = last.offset!
    return [last]
  }

  /** Undefined when it is not for this handler, and its number does not count. */
  #decode(received: ReceivedMessage, position: number): RecordedEvent | Problem | undefined {
    const { topic, types, store } = this.#parts
    const message = this.#originalOf(received)
    let event: RecordedEvent | undefined
    try {
      event = decodeMessage(message, position, topic)
      for (const name of names) checkName(event[name], name, store.limits)
      const definition = Object.hasOwn(topic.events, event.type) ? topic.events[event.type] : undefined
      if (!definition) this.#noteUnknown(event.type)
      if (!types.has(event.type)) return topic.sequenced ? event : undefined
      if (!definition || event.schemaVersion !== definition.schemaVersion) return event
      const data: unknown = validate(definition.schema, event.data, `${event.type} from ${topic.name}`)
      return data === event.data ? event : { ...event, data }
    } catch (error) {
      if (error instanceof UnauthenticatedMessageError) return { event: this.#storable(unauthenticatedEvent(message, position)), error }
      const unreadable = unreadableEvent(message, position)
      // Data that does not fit says nothing against the place of what it came in.
      return { event: this.#storable(event ? { ...unreadable, stream: event.stream, version: event.version } : unreadable), error }
    }
  }

  #originalOf(message: ReceivedMessage): ReceivedMessage {
    return this.#parts.originalOf?.(message) ?? message
  }

  /** A name that no store takes is replaced by one that follows from it, so that the message is the same one when it comes again. */
  #storable(event: RecordedEvent): RecordedEvent {
    const replaced = names.map((name): [string, string] => {
      try {
        checkName(event[name], name, this.#parts.store.limits)
        return [name, event[name]]
      } catch {
        return [name, `unreadable-${uuidFrom(event[name])}`]
      }
    })
    return { ...event, ...Object.fromEntries(replaced) }
  }

  /** A producer may be ahead of its consumers: what they do not know yet is not for them. */
  #noteUnknown(type: string): void {
    const { store, topic } = this.#parts
    const { environment } = store
    environment.metrics.count('headwater_messages_unknown_total', 1, { topic: topic.name, type })
    if (this.#unknownTypes.has(type)) return
    this.#unknownTypes.add(type)
    environment.log('warn', 'a topic has messages of a type that this program does not know', { topic: topic.name, type })
  }
}

/** What came at once, in parts of which each is looked up in the inbox, and made into events, as a whole. */
async function* pages(batches: AsyncIterable<readonly ReceivedMessage[]>): AsyncIterable<readonly ReceivedMessage[]> {
  for await (const batch of batches) {
    if (batch.length <= maxPageMessages) yield batch
    else for (let next = 0; next < batch.length; next += maxPageMessages) yield batch.slice(next, next + maxPageMessages)
  }
}

/** The batches up to the end or until `signal` is aborted, also while none comes: a partition that is quiet must not keep a run from ending. */
async function* until<T>(signal: AbortSignal, batches: AsyncIterable<T>): AsyncIterable<T> {
  let wake = (): void => {}
  const abort = (): void => wake()
  signal.addEventListener('abort', abort, { once: true })
  const iterator = batches[Symbol.asyncIterator]()
  try {
    while (!signal.aborted) {
      const result = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined)
        iterator.next().then(resolve, reject)
      })
      if (!result || result.done) return
      yield result.value
    }
  } finally {
    signal.removeEventListener('abort', abort)
    // It ends when its next batch has come, at the latest when the partition is revoked.
    void iterator.return?.().catch(() => undefined)
  }
}

function shortened(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  let left = keptHeaderBytes
  return Object.fromEntries(Object.entries(headers).filter(([name, value]) => (left -= name.length + value.length) > 0))
}
