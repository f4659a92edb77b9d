import { fromCloudEvent, sortable, toCloudEvent } from '../message/cloud-event.ts'
import type { Metadata, RecordedEvent } from '../message/event.ts'
import { uuidFrom } from '../message/id.ts'
import { formatTimestamp, parseTimestamp } from '../message/timestamp.ts'
import type { OutgoingMessage, ReceivedMessage } from './port.ts'
import { UnreadableMessageError } from './errors.ts'
import type { Topic } from './topic.ts'

const structuredType = 'application/cloudevents+json'
const jsonType = 'application/json'
const structuredHeaders = Object.freeze({ 'content-type': structuredType })
const jsonHeaders = Object.freeze({ 'content-type': jsonType })
const noMetadata: Metadata = Object.freeze({})
const noTags: readonly string[] = Object.freeze([])

/** The event as it goes over the wire: a CloudEvent, signed where the topic says so. */
export function encodeMessage(event: RecordedEvent, topic: Topic): OutgoingMessage {
  const message = cloudEventMessage(event, topic)
  if (!topic.signature) return message
  return { ...message, headers: { ...message.headers, ...topic.signature.sign(topic.name, message) } }
}

function cloudEventMessage(event: RecordedEvent, topic: Topic): OutgoingMessage {
  const key = topic.keyOf(event)
  const priority = topic.priorityOf(event)
  const common = { id: event.id, key, ...(priority && { priority }) }
  if (topic.mode === 'structured')
    return { ...common, attributes: {}, headers: structuredHeaders, body: Buffer.from(JSON.stringify(toCloudEvent(event))) }
  const body = Buffer.from(JSON.stringify(event.data))
  const plain = plainAttributes(event)
  if (plain) return { ...common, attributes: plain, headers: jsonHeaders, body }
  const cloudEvent = toCloudEvent(event)
  const attributes: Record<string, string> = {}
  for (const name in cloudEvent) if (name !== 'data' && name !== 'datacontenttype') attributes[name] = String(cloudEvent[name])
  const { datacontenttype = jsonType } = cloudEvent
  return { ...common, attributes, headers: { 'content-type': datacontenttype }, body }
}

/** The attributes of an event without metadata and tags, as `toCloudEvent` gives them, which takes longer; undefined for any other event. */
function plainAttributes(event: RecordedEvent): OutgoingMessage['attributes'] | undefined {
  const time = formatTimestamp(event.time)
  if (time === undefined || event.tags.length > 0) return undefined
  for (const _ in event.metadata) return undefined
  return {
    specversion: '1.0',
    id: event.id,
    source: event.source,
    type: event.type,
    subject: event.stream,
    time,
    schemaversion: String(event.schemaVersion),
    correlationid: event.correlationId,
    causationid: event.causationId,
    sequence: sortable(event.version),
    position: sortable(event.position),
  }
}

/**
 * What the message says, with its place in the source as its position.
 * @throws UnauthenticatedMessageError, InvalidCloudEventError, UnreadableMessageError
 */
export function decodeMessage(message: ReceivedMessage, position: number, topic: Topic): RecordedEvent {
  topic.signature?.verify(message.topic, message)
  const contentType = message.headers['content-type'] ?? ''
  if (message.attributes['specversion'] !== undefined) {
    if (!isJson(contentType)) throw new UnreadableMessageError(`the content type '${contentType}' is not JSON`)
    const relayed = readRelayed(message, position)
    if (relayed) return relayed
    return eventOf({ ...message.attributes, data: parseJson(message.body) }, message, position)
  }
  if (contentType.startsWith(structuredType)) return eventOf(parseJson(message.body), message, position)
  if (!topic.read) throw new UnreadableMessageError('it is no CloudEvent, and the topic does not say how to read others')
  const foreign = topic.read({ ...message, json: () => parseJson(message.body) })
  const id = foreign.id ?? message.id
  if (id === undefined) throw new UnreadableMessageError('it has no id')
  const { sequence = 0 } = foreign
  if (!Number.isSafeInteger(sequence) || sequence < 0)
    throw new UnreadableMessageError(`its sequence is ${sequence}, not a whole number from 1`)
  return {
    ...placeOf({ ...message, key: foreign.key ?? message.key }, position),
    version: sequence,
    type: foreign.type,
    data: foreign.data,
    id,
    source: foreign.source ?? message.topic,
    time: foreign.time ?? new Date(message.timeMs ?? Date.now()),
    correlationId: id,
    causationId: id,
  }
}

/** As much of an event as can be made of a message that says nothing. */
export function unreadableEvent(message: ReceivedMessage, position: number): RecordedEvent {
  const id = message.id ?? `${message.topic}/${message.partition ?? 0}/${message.offset ?? position}`
  const time = new Date(message.timeMs ?? 0)
  const type = message.attributes['type'] ?? 'unreadable'
  const { source = message.topic, subject, sequence } = message.attributes
  const place = { ...placeOf(message, position), ...(subject && { stream: subject, version: numberOf(sequence) }) }
  return { ...place, type, data: null, id, source, time, correlationId: id, causationId: id }
}

/** What is kept of a message that anybody may have written: nothing that it says of itself, or it could pass for one that is still to come. */
export function unauthenticatedEvent(message: ReceivedMessage, position: number): RecordedEvent {
  const { topic, attributes, body, timeMs } = message
  const id = `unauthenticated-${uuidFrom(JSON.stringify(attributes), Buffer.from(body).toString('base64'))}`
  const place = placeOf({ ...message, key: undefined }, position)
  return {
    ...place,
    type: 'unauthenticated',
    data: null,
    id,
    source: topic,
    time: new Date(timeMs ?? 0),
    correlationId: id,
    causationId: id,
  }
}

/** What `encodeMessage` writes of every event. */
const relayedAttributes = 11

/**
 * The event of a message that has exactly the attributes which `encodeMessage` gives an event without metadata and tags: the most frequent of all messages,
 * and the way by a general CloudEvent takes longer than everything else that is done to read one. Undefined for any other message, and for one in which
 * something is wrong: then that way says what.
 */
function readRelayed({ attributes, body }: ReceivedMessage, position: number): RecordedEvent | undefined {
  let count = 0
  for (const _ in attributes) count++
  const { specversion, id, source, type, subject, time, schemaversion, correlationid, causationid, sequence } = attributes
  if (count !== relayedAttributes || specversion !== '1.0' || !isSortable(sequence) || !isSortable(attributes['position'])) return undefined
  if (!id || !source || !type || !subject || !time || !correlationid || !causationid) return undefined
  const happened = parseTimestamp(time)
  if (!happened || schemaversion === undefined || !/^[1-9]\d{0,8}$/.test(schemaversion)) return undefined
  return {
    type,
    data: parseJson(body),
    id,
    source,
    schemaVersion: Number(schemaversion),
    stream: subject,
    version: Number(sequence),
    position,
    time: happened,
    correlationId: correlationid,
    causationId: causationid,
    metadata: noMetadata,
    tags: noTags,
  }
}

function isSortable(text: string | undefined): boolean {
  return text !== undefined && /^\d{16}$/.test(text)
}

function eventOf(value: unknown, message: ReceivedMessage, position: number): RecordedEvent {
  const { stream, event } = fromCloudEvent(value)
  const version = numberOf((value as { readonly sequence?: unknown }).sequence)
  const id = event.id!
  return {
    ...placeOf(message, position),
    ...(stream !== undefined && { stream }),
    version,
    type: event.type,
    data: event.data,
    id,
    source: event.source!,
    schemaVersion: event.schemaVersion ?? 1,
    time: event.time ?? new Date(message.timeMs ?? Date.now()),
    correlationId: event.correlationId ?? id,
    causationId: event.causationId ?? id,
    metadata: event.metadata ?? noMetadata,
    tags: event.tags ?? noTags,
  }
}

/** 0 where it is none that can be counted with. */
function numberOf(sequence: unknown): number {
  return typeof sequence === 'string' && /^\d{1,16}$/.test(sequence) ? Number(sequence) : 0
}

/** What every event has, with what is left when the producer does not say it. */
function placeOf({ topic, key }: ReceivedMessage, position: number) {
  return {
    stream: key === undefined ? topic : `${topic}:${key}`,
    version: 0,
    schemaVersion: 1,
    position,
    metadata: noMetadata,
    tags: noTags,
  }
}

function parseJson(body: Uint8Array): unknown {
  if (body.length === 0) return null
  try {
    return JSON.parse(decoder.decode(body))
  } catch (error) {
    throw new UnreadableMessageError(`its body is not JSON: ${error instanceof Error ? error.message : String(error)}`)
  }
}

function isJson(contentType: string): boolean {
  return contentType === jsonType || contentType === '' || /^application\/(?:[\w.-]+\+)?json\b|^text\/json\b/i.test(contentType)
}

const decoder = new TextDecoder('utf-8', { fatal: true })
