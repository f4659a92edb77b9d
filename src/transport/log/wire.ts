import { isUtf8 } from 'node:buffer'
import { uuidFrom } from '../../message/id.ts'
import type { NewEvent, RecordedEvent } from '../../message/event.ts'
import { idOf, streamName } from '../../storage/stream-name.ts'
import type { OutgoingMessage, ReceivedMessage } from '../port.ts'

/** Whoever looks into the log finds messages under the type that a CloudEvent gives itself, the others under this one. */
const plainType = 'message'

/** What a message holds beyond what an event has a place for. Whatever is empty is left out. */
interface WireMetadata {
  readonly attributes?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Where the name of the stream cannot be made of the key as it is. */
  readonly key?: string
  /** Where it does not fit as an event's id. */
  readonly id?: string
}

/** A body that is a text stays readable in the log. Either way it comes back to the byte. */
type WireBody = { readonly text: string } | { readonly base64: string }

/**
 * The message as an event of the stream `<topic>:<key>`; those without a key share the stream `<topic>`. The topic is the event's source, since an id is
 * a repetition within one topic only.
 */
export function toEvent(topic: string, message: OutgoingMessage): { readonly stream: string; readonly event: NewEvent } {
  const { key, attributes, headers } = message
  const [keyName, id] = [key === undefined ? undefined : nameOf(key), nameOf(message.id)]
  const metadata: WireMetadata = {
    ...(Object.keys(attributes).length > 0 && { attributes }),
    ...(Object.keys(headers).length > 0 && { headers }),
    ...(key !== keyName && { key: key! }),
    ...(message.id !== id && { id: message.id }),
  }
  const event: NewEvent = {
    id,
    source: topic,
    type: nameOf(attributes['type'] ?? plainType),
    data: toWireBody(message.body),
    correlationId: nameOf(attributes['correlationid'] ?? message.id),
    causationId: nameOf(attributes['causationid'] ?? message.id),
    metadata: { ...metadata },
  }
  return { stream: keyName === undefined ? topic : streamName(topic, keyName), event }
}

export function fromEvent(topic: string, event: RecordedEvent): ReceivedMessage {
  // What `toEvent` has written.
  const { attributes = {}, headers = {}, key, id = event.id } = event.metadata as WireMetadata
  return {
    id,
    key: event.stream === topic ? undefined : (key ?? idOf(event.stream)),
    attributes,
    headers,
    body: fromWireBody(event.data as WireBody),
    topic,
    partition: 0,
    offset: event.position,
    timeMs: event.time.getTime(),
  }
}

/** In bytes, of everything that the sender chooses. */
export function sizeOf({ id, key = '', attributes, headers, body }: OutgoingMessage): number {
  let bytes = body.length + Buffer.byteLength(id) + Buffer.byteLength(key)
  for (const texts of [attributes, headers])
    for (const [name, value] of Object.entries(texts)) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  return bytes
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const fitForNames = /^[^\u0000-\u001f\u007f]{1,100}$/

/** The text itself where stores take it as (part of) a name, else a name that is always the same for it. */
function nameOf(text: string): string {
  return fitForNames.test(text) && text.isWellFormed() ? text : uuidFrom(text)
}

function toWireBody(bytes: Uint8Array): WireBody {
  const body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  // PostgreSQL refuses NUL even in JSON; other control characters take six bytes each there.
  if (isUtf8(body) && !body.includes(0)) {
    const text = body.toString()
    if (Buffer.byteLength(JSON.stringify(text)) <= (body.length * 4) / 3 + 16) return { text }
  }
  return { base64: body.toString('base64') }
}

function fromWireBody(body: WireBody): Uint8Array {
  return 'text' in body ? Buffer.from(body.text) : Buffer.from(body.base64, 'base64')
}
