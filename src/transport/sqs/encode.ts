import type { MessageAttributeValue, SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { OutgoingMessage } from '../port.ts'
import { bodyAttribute, contentType, frameAttribute, isFit, maxAttributes, structured, toFitJson } from './wire.ts'
import type { Frame, FramedEvent } from './wire.ts'

export interface EncodedMessage {
  /** Without the id, which is given to it in its request. */
  readonly entry: Omit<SendMessageBatchRequestEntry, 'Id'>
  /** As SQS counts them. */
  readonly bytes: number
}

/**
 * A CloudEvent has more attributes than SQS allows, and its protocol binding for SQS does not exist. So it is sent in structured mode, one JSON object that every CloudEvents
 * library reads, with the attribute `content-type` saying so. Everything else is sent as it is: text as the body, bytes as an attribute of type Binary (Base64
 * would make a third more of them), headers as attributes. How it is put off, see delay.ts.
 */
export function encode(message: OutgoingMessage, fifo: boolean, nowMs: number): EncodedMessage {
  const { id, key, headers, delayMs = 0 } = message
  const bytes = Buffer.from(message.body.buffer, message.body.byteOffset, message.body.byteLength)
  const isEvent = Object.keys(message.attributes).length > 0
  const { body, event } = isEvent
    ? encodeEvent(message.attributes, headers[contentType], bytes)
    : { body: bytes.length > 0 ? asText(bytes) : undefined, event: undefined }
  const isBinary = body === undefined

  const attributes: Record<string, MessageAttributeValue> = {}
  if (isEvent) attributes[contentType] = text(structured)
  if (isBinary && bytes.length > 0) attributes[bodyAttribute] = { DataType: 'Binary', BinaryValue: bytes }
  const left = placeHeaders(headers, attributes, event)
  const frame: Frame = {
    id,
    ...(key !== undefined && { key }),
    ...(fifo && delayMs > 0 && { deliverAtMs: Math.ceil(nowMs + delayMs) }),
    ...(left && { headers: left }),
    ...(isBinary && { body: bytes.length === 0 ? 'empty' : 'binary' }),
    ...(event && { event }),
  }
  attributes[frameAttribute] = text(toFitJson(frame))

  const entry = {
    MessageBody: body ?? '-',
    MessageAttributes: attributes,
    ...(fifo ? fifoIds(id, delayMs > 0 ? undefined : key) : delaySeconds(delayMs)),
  }
  return { entry, bytes: sizeOf(entry.MessageBody, attributes) }
}

function encodeEvent(
  attributes: Readonly<Record<string, string>>,
  type: string | undefined,
  bytes: Buffer,
): { readonly body: string; readonly event: FramedEvent } {
  const isTyped = type !== undefined && attributes['datacontenttype'] === undefined
  const head = toFitJson(isTyped ? { ...attributes, datacontenttype: type } : attributes).slice(0, -1)
  const end = (form: FramedEvent['form'], member: string, data: string): { readonly body: string; readonly event: FramedEvent } => {
    const start = `${head}${member}`
    return { body: `${start}${data}}`, event: { form, at: start.length, isTyped } }
  }
  if (bytes.length === 0) return end('none', '', '')
  const data = asText(bytes)
  if (data !== undefined && isJsonType(type ?? attributes['datacontenttype']) && isJson(data)) return end('json', ',"data":', data)
  if (data !== undefined && type?.startsWith('text/')) return end('text', ',"data":', toFitJson(data))
  return end('base64', ',"data_base64":', `"${bytes.toString('base64')}"`)
}

/** Puts headers among the attributes as far as SQS takes them; the others are returned. */
function placeHeaders(
  headers: Readonly<Record<string, string>>,
  attributes: Record<string, MessageAttributeValue>,
  event: FramedEvent | undefined,
): Record<string, string> | undefined {
  const left: [string, string][] = []
  let places = maxAttributes - 1 - Object.keys(attributes).length
  const type = headers[contentType]
  const isTypePlaced = type !== undefined && !event && isPlaceable(contentType, type)
  if (isTypePlaced) {
    attributes[contentType] = text(type)
    places--
  }
  for (const [name, value] of Object.entries(headers)) {
    if (name === contentType) {
      if (!isTypePlaced && !event?.isTyped) left.push([name, value])
    } else if (places > 0 && isPlaceable(name, value)) {
      attributes[name] = text(value)
      places--
    } else left.push([name, value])
  }
  return left.length > 0 ? Object.fromEntries(left) : undefined
}

function isPlaceable(name: string, value: string): boolean {
  if (value === '' || name === frameAttribute || name === bodyAttribute || !isFit(value)) return false
  return name.length <= 256 && /^[\w-]+(\.[\w-]+)*$/.test(name) && !/^(aws|amazon)\./i.test(name) && name !== '__proto__'
}

/** SQS counts whole seconds; 0 is not said, so that the queue's own setting holds. */
function delaySeconds(delayMs: number): Pick<SendMessageBatchRequestEntry, 'DelaySeconds'> {
  return delayMs > 0 ? { DelaySeconds: Math.ceil(delayMs / 1_000) } : {}
}

/** The key is the message group; whoever has none, or is put off and would hold up its key, is a group of its own, held up by nobody. */
function fifoIds(id: string, key: string | undefined): Pick<SendMessageBatchRequestEntry, 'MessageGroupId' | 'MessageDeduplicationId'> {
  const MessageDeduplicationId = asFifoId(id)
  return { MessageDeduplicationId, MessageGroupId: key === undefined ? MessageDeduplicationId : asFifoId(key) }
}

function asFifoId(value: string): string {
  return /^[\u0021-\u007E]{1,128}$/.test(value) ? value : createHash('sha256').update(value).digest('hex')
}

function sizeOf(body: string, attributes: Readonly<Record<string, MessageAttributeValue>>): number {
  let bytes = Buffer.byteLength(body)
  for (const [name, { DataType, StringValue, BinaryValue }] of Object.entries(attributes))
    bytes += name.length + (DataType?.length ?? 0) + (BinaryValue ? BinaryValue.byteLength : Buffer.byteLength(StringValue ?? ''))
  return bytes
}

function text(value: string): MessageAttributeValue {
  return { DataType: 'String', StringValue: value }
}

/** Undefined when it is no text, or none that SQS takes. */
function asText(bytes: Buffer): string | undefined {
  if (!isUtf8(bytes)) return undefined
  const decoded = bytes.toString('utf8')
  return isFit(decoded) ? decoded : undefined
}

function isJsonType(type: string | undefined): boolean {
  return type === undefined || /^[\w.+-]+\/(json|[\w.-]+\+json)\s*(;|$)/i.test(type)
}

function isJson(data: string): boolean {
  try {
    JSON.parse(data)
    return true
  } catch {
    return false
  }
}
