import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyEvent, EventMap, RecordedEvent } from '../message/event.ts'
import { idOf } from '../storage/stream-name.ts'
import type { Priority, TopicSpec } from './port.ts'

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
}

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
}

/** What services agree on: which events are published under which name, and how they are kept apart and in order. */
export interface Topic {
  readonly kind: 'topic'
  readonly name: string
  readonly events: EventMap
  readonly spec: TopicSpec
  readonly mode: WireMode
  readonly read: ReadForeign | undefined
  includes(event: RecordedEvent): boolean
  keyOf(event: RecordedEvent): string
  priorityOf(event: RecordedEvent): Priority | undefined
}

/** What topics may be called on every broker. */
export const topicName: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/

/**
 * A topic, for the service that publishes it and for those that subscribe to it. Without a transport it is nothing but a list: all services then
 * read the same log.
 * @throws InvalidDefinitionError
 */
export function defineTopic(name: string, { events, where, key, priority, mode = 'binary', read, ...spec }: TopicOptions): Topic {
  if (!topicName.test(name))
    throw new InvalidDefinitionError(
      `the topic '${name}': a name is up to 200 letters, digits, '.', '_' and '-', and begins with a letter or digit`,
    )
  if (events.length === 0) throw new InvalidDefinitionError(`the topic ${name} has no events`)
  return {
    kind: 'topic',
    name,
    events: Object.fromEntries(events.map((definition) => [definition.type, definition])),
    spec: { name, ...spec },
    mode,
    read,
    includes: (event) => where?.(event) ?? true,
    keyOf: (event) => key?.(event) ?? idOf(event.stream),
    priorityOf: (event) => priority?.(event),
  }
}
