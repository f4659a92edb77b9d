import type { Msg } from '@nats-io/transport-node'
import { UnsupportedByTransportError } from '../errors.ts'
import { KnownNames } from '../known-names.ts'
import type { OutgoingMessage, WireMessage } from '../port.ts'

// The NATS binding of CloudEvents: attributes in headers `ce-…`, percent-encoded as in that of HTTP; `datacontenttype` is no exception there, while `content-type`
// tells structured events apart. Ours carry both. Headers of NATS are UTF-8, without line breaks, and clients trim them.

const keyHeader = 'headwater-key'
const idHeader = 'headwater-id'
/** Before when the message is to be given to nobody, in milliseconds since 1970. */
export const deliverAtHeader: string = 'headwater-deliver-at'
/** All headers that NATS cannot carry as they are, as percent-encoded JSON. */
const headersHeader = 'headwater-headers'
const reserved = /^(?:nats-|ce-|headwater-)|^content-type$/i
const plainName = /^[!-9;-~]+$/
const attributeName = /^[A-Za-z0-9]+$/
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const control = /[\0-\x1f\x7f]/
const utf8 = new TextEncoder()

/**
 * The header block of a message that is sent now, as it stands on the wire: the client's own headers compare each name with all others.
 * @throws UnsupportedByTransportError for an attribute that CloudEvents does not allow
 */
export function encodeHeaders({ id, key, attributes, headers, delayMs = 0 }: OutgoingMessage, nowMs: number): Uint8Array {
  const plainId = id !== '' && isPlainValue(id)
  let block = `NATS/1.0\r\nNats-Msg-Id: ${plainId ? id : escapeText(id)}\r\n`
  if (!plainId) block += `${idHeader}: ${escapeText(id)}\r\n`
  if (key !== undefined) block += `${keyHeader}: ${escapeText(key)}\r\n`
  if (delayMs > 0) block += `${deliverAtHeader}: ${Math.ceil(nowMs + delayMs)}\r\n`
  let isCloudEvent = false
  for (const name in attributes) {
    if (!attributeName.test(name)) throw new UnsupportedByTransportError(`NATS cannot carry an attribute named ${JSON.stringify(name)}`)
    isCloudEvent = true
    block += `ce-${name}: ${escapeText(attributes[name]!)}\r\n`
  }
  let others: Record<string, string> | undefined
  for (const [name, value] of Object.entries(headers)) {
    const isContentType = name === 'content-type'
    if ((isContentType || (plainName.test(name) && !reserved.test(name))) && isPlainValue(value)) block += `${name}: ${value}\r\n`
    else others = { ...others, [name]: value }
    if (isContentType && isCloudEvent && attributes['datacontenttype'] === undefined)
      block += `ce-datacontenttype: ${escapeText(value)}\r\n`
  }
  if (others) block += `${headersHeader}: ${escapeText(JSON.stringify(others))}\r\n`
  return utf8.encode(`${block}\r\n`)
}

/** What of a message is needed. */
export type Given = Pick<Msg, 'subject' | 'reply' | 'headers' | 'data'>

export interface DecodedMessage extends WireMessage {
  /** Undefined when the producer gave none. */
  readonly id: string | undefined
  /** 0: at any time. */
  readonly deliverAtMs: number
}

/** A message of anybody's. Headers that make no sense are left out, the body is always there; of several headers of one name the first one counts. */
export function decodeMessage(message: Given): DecodedMessage {
  const attributes: Record<string, string> = {}
  const headers: Record<string, string> = {}
  const special: Partial<Record<Place['kind'], string>> = {}
  readHeaders(message, ({ kind, name }, value) => {
    if (kind === 'attribute') put(attributes, name, unescapeText(value))
    else if (kind === 'header') put(headers, name, value)
    else special[kind] ??= value
  })
  const { id, key, contentType, deliverAt, others } = special
  if (others !== undefined) Object.assign(headers, readOthers(others))
  if (contentType !== undefined) headers['content-type'] ??= unescapeText(contentType)
  return {
    id: id === undefined ? special.messageId : unescapeText(id),
    key: key === undefined ? undefined : unescapeText(key),
    deliverAtMs: Number(deliverAt ?? 0) || 0,
    attributes,
    headers,
    body: message.data,
  }
}

function put(texts: Record<string, string>, name: string, text: string): void {
  // Every object has a `constructor` already.
  if (texts[name] === undefined || !Object.hasOwn(texts, name)) texts[name] = text
}

/** What a header is. */
interface Place {
  readonly kind: 'attribute' | 'header' | 'id' | 'messageId' | 'key' | 'deliverAt' | 'contentType' | 'others' | 'none'
  readonly name: string
}

const places = new KnownNames(findPlace)

function findPlace(rawName: string): Place {
  const lowerCase = rawName.toLowerCase()
  if (lowerCase === 'ce-datacontenttype') return { kind: 'contentType', name: lowerCase }
  if (lowerCase.startsWith('ce-')) return { kind: 'attribute', name: lowerCase.slice(3) }
  if (lowerCase === 'nats-msg-id') return { kind: 'messageId', name: lowerCase }
  if (lowerCase === keyHeader) return { kind: 'key', name: lowerCase }
  if (lowerCase === idHeader) return { kind: 'id', name: lowerCase }
  if (lowerCase === deliverAtHeader) return { kind: 'deliverAt', name: lowerCase }
  if (lowerCase === headersHeader) return { kind: 'others', name: lowerCase }
  if (lowerCase === 'content-type') return { kind: 'header', name: lowerCase }
  // Assigned to an object it would be no header.
  if (lowerCase.startsWith('nats-') || rawName === '__proto__') return { kind: 'none', name: lowerCase }
  return { kind: 'header', name: rawName }
}

const firstLine = 'NATS/1.0\r\n'

/**
 * Read from the bytes that stand before the body: the client's own headers compare each name with all others, which takes longer than all else here. It parses
 * them when they are first asked for, and throws at names that it does not allow.
 */
function readHeaders(message: Given, read: (place: Place, value: string) => void): void {
  const text = headerBlockOf(message)
  if (text !== undefined) return readBlock(text, read)
  try {
    for (const [name, [value = '']] of message.headers ?? []) read(places.get(name), value)
  } catch {
    // They make no sense.
  }
}

/** Undefined where it is not where it should be. */
function headerBlockOf(message: Given): string | undefined {
  const { buffer, byteOffset, byteLength } = message.data
  const size = sizeOf(message) - Buffer.byteLength(message.subject) - Buffer.byteLength(message.reply ?? '') - byteLength
  if (size < firstLine.length || size > byteOffset) return undefined
  const text = Buffer.from(buffer, byteOffset - size, size).toString()
  return text.startsWith(firstLine) ? text : undefined
}

function readBlock(text: string, read: (place: Place, value: string) => void): void {
  for (let start = firstLine.length; start < text.length;) {
    const end = text.indexOf('\r\n', start)
    if (end < 0) return
    const colon = text.indexOf(':', start)
    if (colon > start && colon < end) read(places.get(text.slice(start, colon)), text.slice(colon + 1, end).trim())
    start = end + 2
  }
}

/** As the server counts it against the bytes that were asked for. */
export function sizeOf(message: Given): number {
  const size: unknown = 'size' in message && typeof message.size === 'function' ? message.size() : undefined
  return typeof size === 'number' ? size : message.data.length
}

function isPlainValue(value: string): boolean {
  return !control.test(value) && value.trim() === value && value.isWellFormed()
}

/** Percent-encodes blanks, quotes, percent signs and what is not printable ASCII. */
function escapeText(text: string): string {
  if (/^[!#$&-~]*$/.test(text)) return text
  return text.toWellFormed().replace(/[^!#$&-~]/gu, encodeURIComponent)
}

/** The reverse; a foreign producer's stray percent sign stays as it is. */
function unescapeText(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function readOthers(text: string): Readonly<Record<string, string>> {
  try {
    const parsed: unknown = JSON.parse(unescapeText(text))
    return Object.fromEntries(Object.entries(parsed ?? {}).map(([name, value]) => [name, String(value)]))
  } catch {
    return {}
  }
}
