import type { Message, MessageAttributeValue } from '@aws-sdk/client-sqs'
import { createHash } from 'node:crypto'
import type { ReceivedMessage, WireMessage } from '../port.ts'
import type { Frame, FramedEvent } from './wire.ts'
import { bodyAttribute, contentType, frameAttribute } from './wire.ts'

type Attributes = Readonly<Record<string, MessageAttributeValue>>
type Content = Pick<ReceivedMessage, 'id' | keyof WireMessage>

/**
 * Whatever is in the queue becomes a message: what this adapter sent, as it was given; what another program sent, with its attributes as headers. Attributes that
 * begin with `ce-` or `ce_` are those of a CloudEvent in binary mode. One in structured mode stays as it is, for the reader of CloudEvents.
 */
export function decode(message: Message, topic: string): ReceivedMessage {
  const attributes = message.MessageAttributes ?? {}
  const sentMs = Number(message.Attributes?.SentTimestamp)
  return {
    ...(decodeOwn(message.Body ?? '', attributes) ?? decodeForeign(message, attributes)),
    topic,
    partition: undefined,
    // SQS numbers the messages of FIFO queues, but with 128 bits.
    offset: undefined,
    timeMs: Number.isFinite(sentMs) ? sentMs : undefined,
  }
}

function decodeOwn(body: string, attributes: Attributes): Content | undefined {
  const frame = readFrame(attributes[frameAttribute]?.StringValue)
  if (!frame) return undefined
  try {
    const { id, key } = frame
    const headers = readHeaders(attributes)
    if (!frame.event) return { id, key, attributes: {}, headers: { ...headers, ...frame.headers }, body: bodyOf(body, frame, attributes) }
    const { type, ...event } = decodeEvent(body, frame.event)
    if (type === undefined) delete headers[contentType]
    else headers[contentType] = type
    return { id, key, headers: { ...headers, ...frame.headers }, ...event }
  } catch {
    // Somebody changed it on the way. It is as good as a stranger's.
    return undefined
  }
}

function bodyOf(body: string, frame: Frame, attributes: Attributes): Uint8Array {
  if (frame.body === 'empty') return Buffer.alloc(0)
  if (frame.body !== 'binary') return Buffer.from(body)
  const bytes = attributes[bodyAttribute]?.BinaryValue
  if (!bytes) throw new Error(`the attribute ${bodyAttribute} is missing`)
  return bytes
}

interface DecodedEvent {
  readonly type: string | undefined
  readonly attributes: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

function decodeEvent(text: string, { form, at, isTyped }: FramedEvent): DecodedEvent {
  const member = { json: ',"data":', text: ',"data":', base64: ',"data_base64":', none: '' }[form]
  const start = at - member.length
  if (text.slice(start, at) !== member) throw new Error('the data is not where it was')
  const attributes = JSON.parse(`${text.slice(0, start)}}`) as Record<string, string>
  const data = text.slice(at, -1)
  const body =
    form === 'base64' ? Buffer.from(data.slice(1, -1), 'base64') : Buffer.from(form === 'text' ? (JSON.parse(data) as string) : data)
  if (!isTyped) return { type: undefined, attributes, body }
  const { datacontenttype: type, ...others } = attributes
  return { type, attributes: others, body }
}

function decodeForeign(message: Message, all: Attributes): Content {
  const { MessageGroupId: key } = message.Attributes ?? {}
  const attributes: Record<string, string> = {}
  const headers = readHeaders(all)
  for (const name of Object.keys(headers)) {
    if (!/^ce[-_]./i.test(name)) continue
    attributes[name.slice(3).toLowerCase()] = headers[name]!
    delete headers[name]
  }
  return { id: foreignId(message), key, attributes, headers, body: Buffer.from(message.Body ?? '') }
}

/** The deduplication id is the producer's, unless SQS made it from the content: then two equal messages, sent an hour apart, would seem to be one. */
function foreignId({ Attributes, MessageId, Body = '' }: Message): string | undefined {
  const given = Attributes?.MessageDeduplicationId
  const isHash = given !== undefined && /^[0-9a-f]{64}$/.test(given) && given === createHash('sha256').update(Body).digest('hex')
  return given === undefined || isHash ? MessageId : given
}

function readHeaders(attributes: Attributes): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, { StringValue, BinaryValue }] of Object.entries(attributes)) {
    if (name === frameAttribute || name === bodyAttribute) continue
    headers[name] = StringValue ?? Buffer.from(BinaryValue ?? []).toString('base64')
  }
  return headers
}

function readFrame(text: string | undefined): Frame | undefined {
  if (text === undefined) return undefined
  try {
    const frame = JSON.parse(text) as Partial<Frame> | null
    return typeof frame?.id === 'string' ? (frame as Frame) : undefined
  } catch {
    return undefined
  }
}
