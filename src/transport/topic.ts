import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyEvent, EventMap, RecordedEvent } from '../message/event.ts'
import { idOf } from '../storage/stream-name.ts'
import type { Priority, TopicSpec } from './port.ts'
import type { Signature } from './signature.ts'

export interface TopicOptions extends Omit<TopicSpec, 'name'> {
  /** The events that are published on it. */
  readonly events: readonly AnyEvent[]
  /** Which of these events are published on it. Default: all. */
  readonly where?: (event: RecordedEvent) => boolean
  /** Messages of one key are kept in order. Default: the id in the name of the event's stream. */
  readonly key?: (event: RecordedEvent) => string
  /** Where the transport knows priorities. Default: `'normal'`. */
  readonly priority?: (event: RecordedEvent) => Priority
  /** `'binary'`: the attributes of the CloudEvent in headers, the data as body; `'structured'`: the whole as one JSON text. Default: `'binary'`. */
  readonly mode?: WireMode
  /** Of messages that are no CloudEvents: what they say. Default: they become dead letters. */
  readonly read?: ReadForeign
  /** Proves who wrote a message, where more people can write to the broker than should: see `hmacSignature`. Default: whoever can write is believed. */
  readonly signature?: Signature
  /**
   * Whether messages carry numbers that count 1, 2, 3 … in each stream, without holes, and handlers get those of a stream in that order whatever order they come
   * in. What a service of Headwater publishes has them (an event's version in its stream), where all events of its streams go over the topic; of others it
   * is the attribute `sequence` of their CloudEvents, or what `read` says. A message that is early waits in memory for those before it, one that comes after its
   * turn is dropped and counted, and one without a number is in no order. Which numbers a handler is done with is kept with its work, in one small document a
   * stream and handler (on Kafka: and partition), for ever. Default: false.
   */
  readonly sequenced?: boolean | SequenceOptions
}

export interface SequenceOptions {
  /**
   * How long a message waits for those before it. Then they are given up: it is handled without them, and they are dropped should they still come. To be longer
   * than the time after which the broker gives out again what a dead consumer held (on SQS 30 seconds, unless told otherwise). Default: 60,000.
   */
  readonly waitMs?: number
  /** So many messages of a handler (on Kafka: of a partition) wait, at most; with one more, the oldest gap is given up. From 1 to 1,000. Default: 1,000. */
  readonly maxWaiting?: number
}

/** With all defaults in place. */
export type SequenceRules = Required<SequenceOptions>

export type WireMode = 'binary' | 'structured'

/** A message of a producer who knows nothing of CloudEvents. */
export interface ForeignMessage {
  readonly key: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The body as JSON. @throws SyntaxError */
  json(): unknown
}

/** What a foreign message says; throws when it says nothing that can be understood. */
export type ReadForeign = (message: ForeignMessage) => {
  readonly type: string
  readonly data: unknown
  /** Default: what the transport calls it. */
  readonly id?: string
  /** Default: the name of the topic. */
  readonly source?: string
  readonly time?: Date
  /** Its number among the messages of its key, from 1; for a topic that is `sequenced`. Default: none. */
  readonly sequence?: number
  /** Which messages belong together: the stream of the event is `<topic>:<key>`. Default: the key that the broker knows, if there is one. */
  readonly key?: string
}

/** What services agree on: which events are published under which name, and how they are kept apart and in order. */
export interface Topic {
  readonly kind: 'topic'
  readonly name: string
  readonly events: EventMap
  readonly spec: TopicSpec
  readonly mode: WireMode
  readonly read: ReadForeign | undefined
  readonly signature: Signature | undefined
  /** Undefined where numbers say nothing about the order. */
  readonly sequenced: SequenceRules | undefined
  includes(event: RecordedEvent): boolean
  keyOf(event: RecordedEvent): string
  priorityOf(event: RecordedEvent): Priority | undefined
}

/** Where copies of a topic's messages go that were given up, for other programs to see; all its consumers share it. */
export function deadLetterTopicOf(topic: string): string {
  return `${topic}.dlq`
}

/** What topics may be called on every broker. */
export const topicName: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/

/**
 * A topic, for the service that publishes it and for those that subscribe to it. Without a transport it is nothing but a list: all services then
 * read the same log.
 * @throws InvalidDefinitionError
 */
export function defineTopic(
  name: string,
  { events, where, key, priority, mode = 'binary', read, signature, sequenced = false, ...spec }: TopicOptions,
): Topic {
  if (!topicName.test(name))
    throw new InvalidDefinitionError(
      `the topic '${name}': a name is up to 200 letters, digits, '.', '_' and '-', and begins with a letter or digit`,
    )
  if (events.length === 0) throw new InvalidDefinitionError(`the topic ${name} has no events`)
  if (sequenced && where)
    throw new InvalidDefinitionError(`the topic ${name}: what \`where\` leaves out would be missed, as it is sequenced`)
  return {
    kind: 'topic',
    name,
    events: Object.fromEntries(events.map((definition) => [definition.type, definition])),
    spec: { name, ...spec },
    mode,
    read,
    signature,
    sequenced: sequenced ? rulesOf(name, sequenced === true ? {} : sequenced) : undefined,
    includes: (event) => where?.(event) ?? true,
    keyOf: (event) => key?.(event) ?? idOf(event.stream),
    priorityOf: (event) => priority?.(event),
  }
}

function rulesOf(topic: string, { waitMs = 60_000, maxWaiting = 1_000 }: SequenceOptions): SequenceRules {
  // A timer cannot wait longer.
  if (!(waitMs >= 0 && waitMs <= 0x7fffffff))
    throw new InvalidDefinitionError(`the topic ${topic}: waitMs must be from 0 to 2,147,483,647, not ${waitMs}`)
  if (!Number.isInteger(maxWaiting) || maxWaiting < 1 || maxWaiting > 1_000)
    throw new InvalidDefinitionError(`the topic ${topic}: maxWaiting must be a whole number from 1 to 1,000, not ${maxWaiting}`)
  return { waitMs, maxWaiting }
}
