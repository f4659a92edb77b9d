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
  const write = (header: Header, text: string): void => {
    const value = valueBytes(header, text)
    written.set(header.name, value)
    bytes += header.name.byteLength + value.byteLength + headerOverhead
  }
  for (const name in attributes) {
    // The header says it, or is what says it.
    if (name === 'datacontenttype') {
      if (headers[contentType] === undefined) write(headerNamed(contentType), attributes[name]!)
    } else write(attributeHeader(name), attributes[name]!)
  }
  for (const name in headers) write(headerNamed(name), headers[name]!)
  if (id !== undefined && attributes['id'] !== id) write(headerNamed(idHeader), id)

  const keyBytes = key === undefined ? undefined : Buffer.from(key)
  if (keyBytes) bytes += keyBytes.byteLength
  return { key: keyBytes, value: Buffer.from(body.buffer, body.byteOffset, body.byteLength), headers: written, bytes }
}

/** The record with more headers, which need not be texts; of one that is there already the value is replaced. */
export function addHeaders(record: OutgoingRecord, added: Readonly<Record<string, Buffer>>): OutgoingRecord {
  const headers = new Map([...record.headers].filter(([name]) => !Object.hasOwn(added, name.toString())))
  let { bytes } = record
  for (const [name, value] of Object.entries(added)) {
    const { name: nameBytes } = headerNamed(name)
    headers.set(nameBytes, value)
    bytes += nameBytes.byteLength + value.byteLength + headerOverhead
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

/** The same few names come with every message, and many of their values with the next one again. */
interface Header {
  readonly name: Buffer
  /** The value that was written last, and its bytes. */
  text: string
  value: Buffer
}

const headersByName = new Map<string, Header>()
const headersByAttribute = new Map<string, Header>()
const mostNames = 1_000
/** Longer values are not kept. */
const keptLength = 100

function headerNamed(name: string): Header {
  return headersByName.get(name) ?? newHeader(headersByName, name, name)
}

function attributeHeader(attribute: string): Header {
  return headersByAttribute.get(attribute) ?? newHeader(headersByAttribute, attribute, prefix + attribute)
}

function newHeader(known: Map<string, Header>, key: string, name: string): Header {
  const header: Header = { name: Buffer.from(name), text: '', value: noBytes }
  if (known.size < mostNames) known.set(key, header)
  return header
}

function valueBytes(header: Header, text: string): Buffer {
  if (header.text === text) return header.value
  const value = Buffer.from(text)
  if (text.length <= keptLength) {
    header.text = text
    header.value = value
  }
  return value
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
