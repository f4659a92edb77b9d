import type { Envelope } from 'rabbitmq-client'
import { MessageTooLargeError, UnsupportedByTransportError } from '../errors.ts'
import type { OutgoingMessage } from '../port.ts'
import { delayedName } from './delayed-name.ts'
import type { RabbitMqTopicOptions } from './options.ts'
import { encode, findObstacle, fitsShortText, maxShortTextBytes } from './wire.ts'

/** A message as the client library takes it. */
export interface Sendable {
  readonly envelope: Envelope
  readonly body: Buffer
  /** With its headers. */
  readonly bytes: number
}

export interface Destination {
  readonly topic: string
  readonly options: RabbitMqTopicOptions
  readonly priorities: boolean
  readonly maxMessageBytes: number
  /** Into which all headers of a message must fit. */
  readonly maxFrameBytes: number
}

/**
 * Why a message can never be sent, when it cannot. It has to be found here: the library cuts texts off without a word, and over what it cannot write, or the
 * broker does not take, the channel is closed, with all messages that are on their way.
 */
export function prepare(message: OutgoingMessage, destination: Destination): Sendable | Error {
  const { topic, options, priorities, maxMessageBytes, maxFrameBytes } = destination
  const { id } = message
  const obstacle = findObstacle(message)
  if (obstacle !== undefined) return new UnsupportedByTransportError(`the message ${id} cannot be sent: ${obstacle}`)
  const routingKey = options.routingKey?.(message) ?? (message.attributes['type'] || 'message')
  if (!fitsShortText(routingKey)) {
    const limit = { bytes: maxShortTextBytes, name: 'the limit of RabbitMQ’s routing keys' }
    return new MessageTooLargeError(id, Buffer.byteLength(routingKey), limit)
  }
  const { envelope, headerBytes } = encode(message, priorities)
  const bytes = headerBytes + message.body.byteLength
  if (bytes > maxMessageBytes) return new MessageTooLargeError(id, bytes, { bytes: maxMessageBytes, name: 'maxMessageBytes of rabbitmq()' })
  if (headerBytes > maxFrameBytes) {
    const limit = { bytes: maxFrameBytes, name: 'frame_max of RabbitMQ, into which all headers must fit,' }
    return new MessageTooLargeError(id, headerBytes, limit)
  }
  const { delayMs = 0 } = message
  envelope.exchange = delayMs > 0 ? delayedName(topic, delayMs) : topic
  envelope.routingKey = routingKey
  // A message that was put off always has a queue to wait in, unless somebody has removed it.
  if (options.mandatory || delayMs > 0) envelope.mandatory = true
  return { envelope, body: asBuffer(message.body), bytes }
}

/** Without a copy. The library takes anything but a Buffer for an object to be sent as JSON. */
function asBuffer(body: Uint8Array): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
}
