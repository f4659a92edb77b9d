import { fromCloudEvent, toCloudEvent } from '../message/cloud-event.ts'
import type { Metadata, RecordedEvent } from '../message/event.ts'
import type { OutgoingMessage, ReceivedMessage } from './port.ts'
import { UnreadableMessageError } from './errors.ts'
import type { Topic } from './topic.ts'

const structuredType = 'application/cloudevents+json'
const jsonType = 'application/json'
const noMetadata: Metadata = Object.freeze({})
const noTags: readonly string[] = Object.freeze([])

/** The event as it goes over the wire: a CloudEvent. */
export function encodeMessage(event: RecordedEvent, topic: Topic): OutgoingMessage {
  const key = topic.keyOf(event)
  const priority = topic.priorityOf(event)
  const { data, ...attributes } = toCloudEvent(event)
  const common = { id: event.id, key, ...(priority && { priority }) }
  if (topic.mode === 'structured')
    return { ...common, attributes: {}, headers: { 'content-type': structuredType }, body: utf8(JSON.stringify({ ...attributes, data })) }
  const { datacontenttype = jsonType, ...others } = attributes
  return {
    ...common,
    attributes: Object.fromEntries(Object.entries(others).map(([name, value]) => [name, String(value)])),
    headers: { 'content-type': datacontenttype },
    body: utf8(JSON.stringify(data)),
  }
}

/**
 * What the message says, with its place in the source as its position.
 * @throws InvalidCloudEventError, UnreadableMessageError
 */
export function decodeMessage(message: ReceivedMessage, position: number, topic: Topic): RecordedEvent {
  const contentType = message.headers['content-type'] ?? ''
  if (message.attributes['specversion'] !== undefined) {
    if (!isJson(contentType)) throw new UnreadableMessageError(`the content type '${contentType}' is not JSON`)
    return eventOf({ ...message.attributes, data: parseJson(message.body) }, message, position)
  }
  if (contentType.startsWith(structuredType)) return eventOf(parseJson(message.body), message, position)
  if (!topic.read) throw new UnreadableMessageError('it is no CloudEvent, and the topic does not say how to read others')
  const foreign = topic.read({ ...message, json: () => parseJson(message.body) })
  const id = foreign.id ?? message.id
  if (id === undefined) throw new UnreadableMessageError('it has no id')
  return {
    ...placeOf(message, position),
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
  const { source = message.topic } = message.attributes
  return { ...placeOf(message, position), type, data: null, id, source, time, correlationId: id, causationId: id }
}

function eventOf(value: unknown, message: ReceivedMessage, position: number): RecordedEvent {
  const { stream, event } = fromCloudEvent(value)
  const { sequence } = value as { readonly sequence?: unknown }
  const version = typeof sequence === 'string' && /^\d{1,16}$/.test(sequence) ? Number(sequence) : 0
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
  return contentType === '' || /^application\/(?:[\w.-]+\+)?json\b|^text\/json\b/i.test(contentType)
}

const decoder = new TextDecoder('utf-8', { fatal: true })
const encoder = new TextEncoder()
const utf8 = (text: string): Uint8Array => encoder.encode(text)
