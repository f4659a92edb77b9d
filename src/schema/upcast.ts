import { HeadwaterError } from '../message/errors.ts'
import type { AnyEvent, EventMap, RecordedEvent } from '../message/event.ts'
import { validate } from '../message/schema.ts'

/** A stored event is of a type or version that this program does not know: it is older than whoever wrote the event. */
export class UnknownEventError extends HeadwaterError {
  readonly code = 'unknown-event'
}

/**
 * The event as its current version. Steps run one after another from the version that was stored; an event that is current is returned as it is,
 * unchecked: it was when it was made. What a step returns goes through the schema of the version that it leads to, so that defaults and
 * transforms apply to old events too.
 * @throws UnknownEventError when it is of a later version than the definition
 * @throws InvalidMessageError when a step returns what its next version's schema refuses
 */
export function upcastEvent(definition: AnyEvent, event: RecordedEvent): RecordedEvent {
  if (event.schemaVersion === definition.schemaVersion) return event
  if (event.schemaVersion > definition.schemaVersion)
    throw new UnknownEventError(
      `${event.type} at position ${event.position} is version ${event.schemaVersion}, this program knows it up to version ${definition.schemaVersion}`,
    )
  let data: unknown = event.data
  for (const [index, { from, upcast }] of definition.upcasters.entries()) {
    if (from < event.schemaVersion) continue
    const { schema } = definition.upcasters[index + 1] ?? definition
    data = validate(
      schema,
      upcast(data as never),
      `${event.type} at position ${event.position}, upcast from version ${from} to ${from + 1}`,
    )
  }
  return { ...event, data, schemaVersion: definition.schemaVersion }
}

/**
 * The event as the current version of its definition among these.
 * @throws UnknownEventError when its type is not among them.
 */
export function decodeEvent(definitions: EventMap, event: RecordedEvent, reader: string): RecordedEvent {
  const definition = Object.hasOwn(definitions, event.type) ? definitions[event.type] : undefined
  if (!definition)
    throw new UnknownEventError(`${event.stream} holds ${event.type} at version ${event.version}, which ${reader} does not know`)
  return upcastEvent(definition, event)
}
