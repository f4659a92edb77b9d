import { currentContext } from '../message/context.ts'
import type { NewEvent } from '../message/event.ts'
import { uuidv7 } from '../message/id.ts'
import { InvalidEventError } from './errors.ts'
import type { EncodedEvent } from './write-set.ts'

/** What one event, stream or call may hold. Beyond it an append is refused with the limit named, before it is queued. */
export interface Limits {
  /** Of a stream's name, an event's type, id, source, correlation and causation id, and a tag, in UTF-8 bytes. Default: 500. */
  readonly maxNameBytes: number
  /** Of the JSON of one event's payload, and of its metadata. Default: 1 MiB. */
  readonly maxPayloadBytes: number
  /** Of one call. Default: 10,000. */
  readonly maxEventsPerAppend: number
  /** Default: 20. */
  readonly maxTagsPerEvent: number
}

export const defaultLimits: Limits = { maxNameBytes: 500, maxPayloadBytes: 1024 * 1024, maxEventsPerAppend: 10_000, maxTagsPerEvent: 20 }

/** The event, checked and completed: whoever repeats an append must repeat it with what this returned, so that the ids are the same. */
export function encodeEvent(event: NewEvent, defaults: { readonly source: string; readonly nowMs: number }, limits: Limits): EncodedEvent {
  const id = event.id ?? uuidv7(defaults.nowMs)
  const context = currentContext()
  const encoded: EncodedEvent = {
    id,
    source: event.source ?? defaults.source,
    type: event.type,
    schemaVersion: event.schemaVersion ?? 1,
    timeMs: event.time?.getTime() ?? defaults.nowMs,
    correlationId: event.correlationId ?? context?.correlationId ?? id,
    causationId: event.causationId ?? context?.causationId ?? id,
    data: encodeJson(event.data, `${event.type}: data`, limits.maxPayloadBytes),
    metadata: isEmpty(event.metadata) ? null : encodeJson(event.metadata, `${event.type}: metadata`, limits.maxPayloadBytes),
    tags: event.tags ? [...new Set(event.tags)] : noTags,
  }
  checkName(encoded.type, 'type', limits)
  checkName(encoded.id, `${event.type}: id`, limits)
  checkName(encoded.source, `${event.type}: source`, limits)
  checkName(encoded.correlationId, `${event.type}: correlationId`, limits)
  checkName(encoded.causationId, `${event.type}: causationId`, limits)
  if (!Number.isSafeInteger(encoded.schemaVersion) || encoded.schemaVersion < 1 || encoded.schemaVersion > 0x7fffffff)
    throw new InvalidEventError(`${event.type}: schemaVersion must be a whole number from 1, not ${String(event.schemaVersion)}`)
  if (!Number.isSafeInteger(encoded.timeMs)) throw new InvalidEventError(`${event.type}: time is not a valid date`)
  if (encoded.tags.length > limits.maxTagsPerEvent)
    throw new InvalidEventError(`${event.type}: ${encoded.tags.length} tags, at most ${limits.maxTagsPerEvent} are allowed`)
  for (const tag of encoded.tags) checkName(tag, `${event.type}: tag`, limits)
  return encoded
}

const noTags: readonly string[] = []

function isEmpty(metadata: object | undefined): boolean {
  if (metadata === undefined) return true
  for (const _ in metadata) return false
  return true
}

// Control characters, and halves of surrogate pairs, which UTF-8 cannot express and databases refuse.
// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const unfitForNames = /[\u0000-\u001f\u007f]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** @throws InvalidEventError when the name is empty, too long or holds control characters. */
export function checkName(name: string, what: string, limits: Pick<Limits, 'maxNameBytes'>): void {
  if (typeof name !== 'string' || name === '') throw new InvalidEventError(`${what} must be a text that is not empty`)
  // Three bytes a UTF-16 unit is the most that UTF-8 takes, so that short names need no counting.
  if (name.length * 3 > limits.maxNameBytes && Buffer.byteLength(name) > limits.maxNameBytes)
    throw new InvalidEventError(`${what} has ${Buffer.byteLength(name)} bytes, at most ${limits.maxNameBytes} are allowed`)
  if (unfitForNames.test(name))
    throw new InvalidEventError(`${what} holds control characters or half a surrogate pair: ${JSON.stringify(name)}`)
}

// `JSON.stringify` writes these escapes for what PostgreSQL refuses; the pattern also hits harmless texts, which the walk then clears.
const suspicious = /\\u(?:0000|d[89a-f])|null/

/** @throws InvalidEventError when the value would come back from JSON as another one, or is too long; the message names the path. */
export function encodeJson(value: unknown, what: string, maxBytes: number): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (error) {
    throw new InvalidEventError(`${what} cannot be written as JSON: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    })
  }
  if (text === undefined) throw new InvalidEventError(`${what} is missing`)
  if (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes)
    throw new InvalidEventError(`${what} has ${Buffer.byteLength(text)} bytes as JSON, at most ${maxBytes} are allowed`)
  if (suspicious.test(text)) checkJson(value, what)
  return text
}

function checkJson(value: unknown, path: string): void {
  if (typeof value === 'string') {
    if (value.includes('\u0000') || !value.isWellFormed())
      throw new InvalidEventError(`${path} holds a NUL character or half a surrogate pair, which databases refuse`)
  } else if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw new InvalidEventError(`${path} is ${value}, which JSON cannot express`)
  } else if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) checkJson(item, `${path}.${index}`)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, item] of Object.entries(value)) {
      checkJson(key, `${path}: the key ${JSON.stringify(key)}`)
      checkJson(item, `${path}.${key}`)
    }
  }
}
