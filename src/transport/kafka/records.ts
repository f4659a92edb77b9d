import type { ReceivedMessage, WireMessage } from '../port.ts'

// A message as Kafka's protocol binding of CloudEvents writes it in binary mode: attributes are headers `ce_*`, `datacontenttype` is the header
// `content-type`, texts are UTF-8. Other headers stand as they are.

/** What a record consists of, as bytes. */
export interface OutgoingRecord {
  readonly key: Buffer | undefined
  readonly value: Buffer
  readonly headers: Map<Buffer, Buffer>
  /** Of the record with all that is around it in its batch, at most. */
  readonly bytes: number
}

/** What the broker gave, not decoded yet. */
export interface IncomingRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [Buffer | null, Buffer | null])[]
}

export interface RecordPlace {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timeMs: number
}

/** Bytes of a batch around its records. */
export const batchOverhead = 61

const prefix = 'ce_'
const contentType = 'content-type'
/** Carries the id of a message that is no CloudEvent in binary mode. */
const idHeader = 'headwater-id'
/** Length, attributes, time, offset and three more lengths, of which each is a varint at its longest. */
const recordOverhead = 40
const headerOverhead = 10
const noBytes: Buffer = Buffer.alloc(0)

/** A message without an id is one that came without, and goes on as it is. */
export function toRecord({ id, key, attributes, headers, body }: WireMessage & { readonly id: string | undefined }): OutgoingRecord {
  const written = new Map<Buffer, Buffer>()
  let bytes = recordOverhead + body.byteLength
  const write = (name: Buffer, text: string): void => {
    const value = Buffer.from(text)
    written.set(name, value)
    bytes += name.byteLength + value.byteLength + headerOverhead
  }
  for (const name in attributes) {
    // The header says it, or is what says it.
    if (name === 'datacontenttype') {
      if (headers[contentType] === undefined) write(nameBytes(contentType), attributes[name]!)
    } else write(nameBytes(prefix + name), attributes[name]!)
  }
  for (const name in headers) write(nameBytes(name), headers[name]!)
  if (id !== undefined && attributes['id'] !== id) write(nameBytes(idHeader), id)

  const keyBytes = key === undefined ? undefined : Buffer.from(key)
  if (keyBytes) bytes += keyBytes.byteLength
  return { key: keyBytes, value: Buffer.from(body.buffer, body.byteOffset, body.byteLength), headers: written, bytes }
}

/** The record with more headers, which need not be texts; of one that is there already the value is replaced. */
export function addHeaders(record: OutgoingRecord, added: Readonly<Record<string, Buffer>>): OutgoingRecord {
  const headers = new Map([...record.headers].filter(([name]) => !Object.hasOwn(added, name.toString())))
  let { bytes } = record
  for (const [name, value] of Object.entries(added)) {
    headers.set(nameBytes(name), value)
    bytes += nameBytes(name).byteLength + value.byteLength + headerOverhead
  }
  return { ...record, headers, bytes }
}

export function fromRecord({ key, value, headers }: IncomingRecord, place: RecordPlace): ReceivedMessage {
  const attributes: Record<string, string> = {}
  const others: Record<string, string> = {}
  let id: string | undefined
  for (let index = 0; index < headers.length; index++) {
    const [nameInBytes, text] = headers[index]!
    if (nameInBytes === null || text === null) continue
    const { name, isAttribute } = headerName(nameInBytes, index)
    if (isAttribute) put(attributes, name, text.toString())
    else if (name === idHeader) id = text.toString()
    else put(others, name, text.toString())
  }
  return {
    id: id ?? attributes['id'],
    key: key === null ? undefined : key.toString(),
    attributes,
    headers: others,
    body: value ?? noBytes,
    topic: place.topic,
    partition: place.partition,
    offset: place.offset,
    timeMs: place.timeMs,
  }
}

/** Anybody may have written the names. */
function put(record: Record<string, string>, name: string, value: string): void {
  if (name === '__proto__') Object.defineProperty(record, name, { value, enumerable: true, configurable: true, writable: true })
  else record[name] = value
}

const names = new Map<string, Buffer>()
const mostNames = 1_000

/** The same few names come with every message. */
function nameBytes(name: string): Buffer {
  const known = names.get(name)
  if (known) return known
  const bytes = Buffer.from(name)
  if (names.size < mostNames) names.set(name, bytes)
  return bytes
}

interface HeaderName {
  readonly bytes: Uint8Array
  /** Of an attribute: without its prefix. */
  readonly name: string
  readonly isAttribute: boolean
}

const headerNames = new Map<string, HeaderName>()
/** The one that was seen last at each place: messages of a topic mostly have the same headers in the same order, and comparing is cheaper than decoding. */
const seenLast: HeaderName[] = []
const mostPlaces = 64

function headerName(bytes: Buffer, index: number): HeaderName {
  const last = seenLast[index]
  if (last && isSame(last.bytes, bytes)) return last
  const text = bytes.toString()
  const found = headerNames.get(text) ?? readHeaderName(text, bytes)
  if (headerNames.size < mostNames) headerNames.set(text, found)
  if (index < mostPlaces) seenLast[index] = found
  return found
}

function readHeaderName(text: string, bytes: Buffer): HeaderName {
  const isAttribute = text.startsWith(prefix)
  // A copy: it is kept, and not the whole answer that it came in.
  return { bytes: Uint8Array.from(bytes), name: isAttribute ? text.slice(prefix.length) : text, isAttribute }
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false
  for (let index = a.length - 1; index >= 0; index--) if (a[index] !== b[index]) return false
  return true
}
