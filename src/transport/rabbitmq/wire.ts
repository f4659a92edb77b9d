import type { AsyncMessage, Channel, Envelope } from 'rabbitmq-client'
import { KnownNames } from '../known-names.ts'
import type { OutgoingMessage, Priority, ReceivedMessage } from '../port.ts'
import { delayedPrefix } from './delayed-name.ts'

/** Attributes of a CloudEvent, as its protocol binding for AMQP names them; foreign producers may have written the second form. */
const attributePrefixes = ['cloudEvents:', 'cloudEvents_'] as const
const keyHeader = 'headwater-key'
/** Of an id that is too long for the property. */
const idHeader = 'headwater-id'

/** Headers for which AMQP has a property of its own, which holds 255 bytes: longer ones go among the other headers. */
const properties = {
  'content-type': 'contentType',
  'content-encoding': 'contentEncoding',
  'correlation-id': 'correlationId',
  'reply-to': 'replyTo',
} as const

const priorities: Readonly<Record<Priority, number>> = { low: 0, normal: 1, high: 2 }
export const highestPriority: number = priorities.high

/** Set by brokers, some of them anew at each delivery: not of the message. */
const brokerHeaders = new Set(['x-delivery-count', 'x-acquired-count', 'timestamp_in_ms'])

/** What the broker writes into a message that leaves a queue for another one: of the message, unless the queue was one in which it was put off. */
const deathHeader = /^x-(?:first-|last-)?death(?:$|-)/
const firstDeathHeader = 'x-first-death-queue'

export const maxShortTextBytes = 255

export interface Encoded {
  readonly envelope: Envelope
  /** Of all that travels in the frame for headers. */
  readonly headerBytes: number
}

/**
 * The message without its body, as it goes over the wire. The exchange and its routing key are the caller's to add. One that has no priority to keep says
 * nothing of it: since 4.3 every quorum queue gives out what has a higher one first.
 */
export function encode(message: OutgoingMessage, hasPriority: boolean): Encoded {
  const table: Record<string, string> = {}
  const envelope: Envelope = { durable: true, headers: table }
  // The frame's own fields, the timestamp and the priority.
  let headerBytes = 64
  const put = (name: string, value: string): void => {
    table[name] = value
    headerBytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 6
  }

  if (fitsShortText(message.id)) envelope.messageId = message.id
  else put(idHeader, message.id)
  headerBytes += Buffer.byteLength(message.id)
  if (message.key !== undefined) put(keyHeader, message.key)
  for (const name in message.attributes) put(attributePrefixes[0] + name, message.attributes[name] ?? '')
  for (const name in message.headers) {
    const value = message.headers[name] ?? ''
    const property = isProperty(name) && value !== '' && fitsShortText(value) ? properties[name] : undefined
    if (property === undefined) put(name, value)
    else {
      envelope[property] = value
      headerBytes += 1 + Buffer.byteLength(value)
    }
  }
  if (hasPriority) envelope.priority = priorities[message.priority ?? 'normal']
  return { envelope, headerBytes }
}

/** Why the broker or the client library would break on this message, if they would. */
export function findObstacle({ headers, attributes }: OutgoingMessage): string | undefined {
  for (const name in headers) {
    if (name === 'CC' || name === 'BCC') return `RabbitMQ takes the header ${name} for a list of routing keys`
    if (!fitsShortText(name)) return `the name of a header is longer than ${maxShortTextBytes} bytes: ${name.slice(0, 40)}…`
  }
  for (const name in attributes)
    if (!fitsShortText(attributePrefixes[0] + name))
      return `the name of an attribute is longer than ${maxShortTextBytes} bytes: ${name.slice(0, 40)}…`
  return undefined
}

export function fitsShortText(text: string): boolean {
  // No character has more than three bytes a UTF-16 unit, so that most texts need not be counted.
  return text.length * 3 <= maxShortTextBytes || Buffer.byteLength(text) <= maxShortTextBytes
}

/** What a header is. */
interface Place {
  readonly kind: 'attribute' | 'header' | 'key' | 'id' | 'broker' | 'death'
  readonly name: string
}

const places = new KnownNames(findPlace)

function findPlace(name: string): Place {
  if (attributePrefixes.some((prefix) => name.startsWith(prefix)))
    return { kind: 'attribute', name: name.slice(attributePrefixes[0].length) }
  if (name === keyHeader) return { kind: 'key', name }
  if (name === idHeader) return { kind: 'id', name }
  if (brokerHeaders.has(name)) return { kind: 'broker', name }
  return { kind: deathHeader.test(name) ? 'death' : 'header', name }
}

/** A message as it came, and by which tag its channel knows it. */
export class Delivery implements ReceivedMessage {
  readonly id: string | undefined
  readonly key: string | undefined
  readonly topic: string
  readonly partition: undefined
  readonly offset: undefined
  readonly timeMs: number | undefined
  readonly attributes: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** How often it was given to a consumer that did not finish it, as far as the queue counts that. */
  readonly returns: number
  readonly #channel: Channel
  readonly #tag: number

  constructor(topic: string, channel: Channel, message: AsyncMessage) {
    const attributes: Record<string, string> = {}
    const headers: Record<string, string> = {}
    let key: string | undefined
    let longId: string | undefined
    const table: Readonly<Record<string, unknown>> = message.headers ?? {}
    const diedFirst = table[firstDeathHeader]
    const wasPutOff = typeof diedFirst === 'string' && diedFirst.startsWith(delayedPrefix(topic))
    for (const rawName in table) {
      const { kind, name } = places.get(rawName)
      if (kind === 'broker' || (kind === 'death' && wasPutOff)) continue
      const value = table[rawName]
      const text = typeof value === 'string' ? value : textOf(value)
      if (kind === 'attribute') attributes[name] = text
      else if (kind === 'key') key = text
      else if (kind === 'id') longId = text
      else headers[name] = text
    }
    if (message.contentEncoding !== undefined) headers['content-encoding'] = message.contentEncoding
    if (message.correlationId !== undefined) headers['correlation-id'] = message.correlationId
    if (message.replyTo !== undefined) headers['reply-to'] = message.replyTo

    this.id = message.messageId ?? longId ?? attributes['id']
    this.key = key
    this.topic = topic
    this.partition = undefined
    this.offset = undefined
    // The property named timestamp is the producer's, in seconds; this header is the broker's own, where its plugin for that is on.
    const stamp = table['timestamp_in_ms']
    this.timeMs = typeof stamp === 'number' ? stamp : undefined
    this.attributes = attributes
    this.headers = headers
    this.body = message.body as Buffer
    const returns = table['x-acquired-count'] ?? table['x-delivery-count']
    this.returns = typeof returns === 'number' ? returns : 0
    this.#channel = channel
    this.#tag = message.deliveryTag ?? 0
  }

  /** Undefined for what did not come over this channel: tags of another one mean other messages. */
  static tagOn(channel: Channel, message: ReceivedMessage): number | undefined {
    return #tag in message && message.#channel === channel ? message.#tag : undefined
  }
}

/** Foreign producers' headers are of many types. */
function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Buffer.isBuffer(value)) return value.toString()
  return JSON.stringify(value)
}

function isProperty(name: string): name is keyof typeof properties {
  return Object.hasOwn(properties, name)
}
