import { InvalidCloudEventError } from './errors.ts'
import type { Metadata, NewEvent, RecordedEvent } from './event.ts'
import { formatTimestamp, parseTimestamp } from './timestamp.ts'

/** A CloudEvent 1.0 in its JSON format: what `JSON.stringify` is given and `JSON.parse` returns. */
export interface CloudEvent {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly subject?: string
  readonly time?: string
  readonly datacontenttype?: string
  readonly dataschema?: string
  readonly data?: unknown
  readonly [extension: string]: unknown
}

/** What a CloudEvent says: an event, and the stream that it belongs to, if it has a subject. */
export interface ImportedEvent {
  readonly stream: string | undefined
  readonly event: NewEvent
}

/** What CloudEvents attributes cannot express, as JSON text in the extension attribute `headwater`. */
interface Remainder {
  readonly metadata?: Metadata
  readonly tags?: readonly string[]
  /** In place of `time`, outside the years 0 to 9999. */
  readonly timeMs?: number
}

/** The content type of data that says nothing else. Any other one is kept as metadata and stands there again when the event goes out. */
const json = 'application/json'

/** Attributes with a meaning of their own here: metadata of such a name is not written as an attribute. */
const taken: ReadonlySet<string> = new Set(
  'specversion id source type subject time data correlationid causationid schemaversion sequence position headwater'.split(' '),
)

/**
 * The event for others to read. The stream is its subject; correlation and causation are those of the CloudEvents correlation extension; the
 * version in the stream is the `sequence` of the sequence extension and the position in the log is `position`, both padded with zeros so that
 * they sort as texts. Metadata becomes extension attributes where CloudEvents allows it; what it does not, and tags, are in `headwater` as JSON
 * text. `fromCloudEvent` makes of it the same event again.
 */
export function toCloudEvent(event: RecordedEvent): CloudEvent {
  const metadata = Object.entries(event.metadata)
  const others = metadata.filter((entry) => !isAttribute(entry))
  const time = formatTimestamp(event.time)
  const remainder: Remainder = {
    ...(others.length > 0 && { metadata: Object.fromEntries(others) }),
    ...(event.tags.length > 0 && { tags: event.tags }),
    ...(time === undefined && { timeMs: event.time.getTime() }),
  }
  return {
    specversion: '1.0',
    id: event.id,
    source: event.source,
    type: event.type,
    subject: event.stream,
    ...(time !== undefined && { time }),
    datacontenttype: json,
    schemaversion: event.schemaVersion,
    correlationid: event.correlationId,
    causationid: event.causationId,
    sequence: sortable(event.version),
    position: sortable(event.position),
    ...Object.fromEntries(metadata.filter(isAttribute)),
    ...(Object.keys(remainder).length > 0 && { headwater: toAttributeText(remainder) }),
    data: event.data,
  }
}

/**
 * The event that a CloudEvent says, whoever made it. Its place in the log that it was exported from is left behind; every other attribute that
 * has no field here becomes metadata, `dataschema` and an unusual content type too. Without data it is an event with the data `null`.
 * @throws InvalidCloudEventError that names the attribute and what is wrong with it; also for binary data, which cannot be stored.
 */
export function fromCloudEvent(value: unknown): ImportedEvent {
  const { specversion, id, source, type, subject, time, data, data_base64: binary, ...extensions } = attributesOf(value)
  const { correlationid, causationid, schemaversion, headwater, ...others } = extensions
  const version = readText('specversion', specversion)
  if (version !== '1.0') throw new InvalidCloudEventError('specversion', `must be '1.0', not ${describe(version)}`)
  if (binary !== undefined) throw new InvalidCloudEventError('data_base64', 'is not supported: events hold JSON, not binary data')
  const remainder = readRemainder(headwater)
  const metadata = { ...readMetadata(others), ...remainder.metadata }
  const when = readTime(time) ?? (remainder.timeMs === undefined ? undefined : new Date(remainder.timeMs))
  const event: NewEvent = {
    id: readText('id', id),
    source: readText('source', source),
    type: readText('type', type),
    data: data ?? null,
    ...(schemaversion !== undefined && { schemaVersion: readSchemaVersion(schemaversion) }),
    ...(when && { time: when }),
    ...(correlationid !== undefined && { correlationId: readText('correlationid', correlationid) }),
    ...(causationid !== undefined && { causationId: readText('causationid', causationid) }),
    ...(Object.keys(metadata).length > 0 && { metadata }),
    ...(remainder.tags && { tags: remainder.tags }),
  }
  return { stream: subject === undefined ? undefined : readText('subject', subject), event }
}

const attributeName = /^[a-z0-9]+$/
/** What a CloudEvents string may not hold. */
const unfitForAttributes = /\p{Cc}|\p{Cs}|\p{Noncharacter_Code_Point}/u
const allUnfit = new RegExp(unfitForAttributes, 'gu')

function isAttribute([name, value]: readonly [string, unknown]): boolean {
  if (!attributeName.test(name) || taken.has(name)) return false
  if (name === 'dataschema' || name === 'datacontenttype')
    return typeof value === 'string' && value !== '' && value !== json && !unfitForAttributes.test(value)
  if (typeof value === 'string') return !unfitForAttributes.test(value)
  return typeof value === 'boolean' || (typeof value === 'number' && (value | 0) === value)
}

/** As JSON text in which everything that an attribute may not hold is escaped; `JSON.stringify` leaves some of it as it is. */
function toAttributeText(remainder: Remainder): string {
  const escaped = (unfit: string): string => {
    const units = Array.from({ length: unfit.length }, (_, index) => unfit.charCodeAt(index).toString(16).padStart(4, '0'))
    return units.map((unit) => `\\u${unit}`).join('')
  }
  return JSON.stringify(remainder).replaceAll(allUnfit, escaped)
}

/** A count as a text of a fixed length. */
export function sortable(count: number): string {
  return String(count).padStart(16, '0')
}

/** The attributes that are set: in JSON, null is the same as left out. */
function attributesOf(value: unknown): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw new InvalidCloudEventError('(root)', `must be a JSON object, not ${describe(value)}`)
  return Object.fromEntries(Object.entries(value).filter(([, attribute]) => attribute !== null && attribute !== undefined))
}

function readText(attribute: string, value: unknown): string {
  if (value === undefined) throw new InvalidCloudEventError(attribute, 'is missing')
  if (typeof value !== 'string') throw new InvalidCloudEventError(attribute, `must be a text, not ${describe(value)}`)
  if (value === '') throw new InvalidCloudEventError(attribute, 'must not be empty')
  return value
}

function readTime(value: unknown): Date | undefined {
  if (value === undefined) return undefined
  const time = typeof value === 'string' ? parseTimestamp(value) : undefined
  if (!time) throw new InvalidCloudEventError('time', `must be an RFC 3339 timestamp like '2026-11-21T12:00:00Z', not ${describe(value)}`)
  return time
}

function readSchemaVersion(value: unknown): number {
  // Where an event has come through HTTP headers, its numbers have become texts.
  const version = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof version === 'number' && (version | 0) === version && version >= 1) return version
  throw new InvalidCloudEventError('schemaversion', `must be a whole number from 1, not ${describe(value)}`)
}

function readMetadata({ sequence, position, datacontenttype, dataschema, ...others }: Readonly<Record<string, unknown>>): Metadata {
  const contentType = datacontenttype === undefined ? json : readText('datacontenttype', datacontenttype)
  // Both in our own form are the event's place in the log that it came from. Any others are somebody else's, and kept.
  const isOurPlace = isSortable(sequence) && isSortable(position)
  return {
    ...others,
    ...(!isOurPlace && sequence !== undefined && { sequence }),
    ...(!isOurPlace && position !== undefined && { position }),
    ...(contentType !== json && { datacontenttype: contentType }),
    ...(dataschema !== undefined && { dataschema: readText('dataschema', dataschema) }),
  }
}

function isSortable(value: unknown): boolean {
  return typeof value === 'string' && /^\d{16}$/.test(value)
}

function readRemainder(value: unknown): Remainder {
  if (value === undefined) return {}
  const { metadata, tags, timeMs } = parseObject(readText('headwater', value))
  if (metadata !== undefined && !isObject(metadata)) throw new InvalidCloudEventError('headwater', 'holds metadata that is no object')
  if (tags !== undefined && !isTexts(tags)) throw new InvalidCloudEventError('headwater', 'holds tags that are not a list of texts')
  if (timeMs !== undefined && typeof timeMs !== 'number') throw new InvalidCloudEventError('headwater', 'holds a time that is no number')
  return { ...(metadata && { metadata }), ...(tags && { tags }), ...(timeMs !== undefined && { timeMs }) }
}

function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    if (isObject(value)) return value
  } catch {
    // The same answer as for JSON that is no object.
  }
  throw new InvalidCloudEventError('headwater', 'must be the JSON text of an object')
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function describe(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 40 ? `${value.slice(0, 40)}…` : value}'`
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}
