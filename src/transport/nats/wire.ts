import type { Msg } from '@nats-io/transport-node'
import { UnsupportedByTransportError } from '../errors.ts'
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

/** A message of anybody's. Headers that make no sense are left out, the body is always there. */
export function decodeMessage(message: Given): DecodedMessage {
  let id: string | undefined
  let key: string | undefined
  let contentType: string | undefined
  let deliverAtMs = 0
  const attributes: Record<string, string> = {}
  const headers: Record<string, string> = {}
  for (const [rawName, value] of headersOf(message)) {
    const { kind, name } = placeOf(rawName)
    if (kind === 'attribute') attributes[name] = unescapeText(value)
    else if (kind === 'header') headers[name] = value
    else if (kind === 'msg-id') id ??= value
    else if (kind === 'key') key = unescapeText(value)
    else if (kind === 'id') id = unescapeText(value)
    else if (kind === 'deliver-at') deliverAtMs = Number(value) || 0
    else if (kind === 'content-type') contentType = unescapeText(value)
    else if (kind === 'headers') Object.assign(headers, readHeaders(value))
  }
  if (contentType !== undefined) headers['content-type'] ??= contentType
  return { id, key, deliverAtMs, attributes, headers, body: message.data }
}

interface Place {
  readonly kind: 'attribute' | 'header' | 'id' | 'msg-id' | 'key' | 'deliver-at' | 'content-type' | 'headers' | 'none'
  readonly name: string
}

const places = new Map<string, Place>()
const mostPlaces = 1_000

/** What a header is. The same few names come with every message. */
function placeOf(rawName: string): Place {
  const known = places.get(rawName)
  if (known) return known
  const place = findPlace(rawName, rawName.toLowerCase())
  if (places.size < mostPlaces) places.set(rawName, place)
  return place
}

function findPlace(rawName: string, lowerCase: string): Place {
  if (lowerCase === 'ce-datacontenttype') return { kind: 'content-type', name: lowerCase }
  if (lowerCase.startsWith('ce-')) return { kind: 'attribute', name: lowerCase.slice(3) }
  if (lowerCase === 'nats-msg-id') return { kind: 'msg-id', name: lowerCase }
  if (lowerCase === keyHeader) return { kind: 'key', name: lowerCase }
  if (lowerCase === idHeader) return { kind: 'id', name: lowerCase }
  if (lowerCase === deliverAtHeader) return { kind: 'deliver-at', name: lowerCase }
  if (lowerCase === headersHeader) return { kind: 'headers', name: lowerCase }
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
function headersOf(message: Given): Iterable<readonly [string, string]> {
  const text = headerBlockOf(message)
  if (text !== undefined) return parseHeaders(text)
  try {
    return [...(message.headers ?? [])].map(([name, [value = '']]) => [name, value])
  } catch {
    return []
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

/** Of several headers of one name the first one counts. */
function parseHeaders(text: string): ReadonlyMap<string, string> {
  const headers = new Map<string, string>()
  for (let start = firstLine.length; start < text.length;) {
    const end = text.indexOf('\r\n', start)
    if (end < 0) break
    const colon = text.indexOf(':', start)
    if (colon > start && colon < end) {
      const name = text.slice(start, colon)
      if (!headers.has(name)) headers.set(name, text.slice(colon + 1, end).trim())
    }
    start = end + 2
  }
  return headers
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

function readHeaders(text: string): Readonly<Record<string, string>> {
  try {
    const parsed: unknown = JSON.parse(unescapeText(text))
    return Object.fromEntries(Object.entries(parsed ?? {}).map(([name, value]) => [name, String(value)]))
  } catch {
    return {}
  }
}
