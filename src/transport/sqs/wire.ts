/**
 * What SQS has no place for, as JSON in the message attribute `headwater`: of ten attributes and a body that must be text, not everything can be said otherwise.
 * Other programs can pass over it.
 */
export interface Frame {
  readonly id: string
  readonly key?: string
  /** In a FIFO queue: before when it is to be given to nobody, in milliseconds since 1970. */
  readonly deliverAtMs?: number
  /** Headers that could not be attributes of their own: too many, or with names or values that SQS does not take. */
  readonly headers?: Readonly<Record<string, string>>
  /** The body is empty, which SQS does not take; or binary, and in the attribute `headwater-body`. Otherwise it is as it is. */
  readonly body?: 'empty' | 'binary'
  /** The body is a CloudEvent in structured mode, made of one in binary mode. */
  readonly event?: FramedEvent
}

export interface FramedEvent {
  /** How the data is written: as JSON, as a JSON text, as Base64; `'none'`: there is none. It is the last member of the object. */
  readonly form: 'json' | 'text' | 'base64' | 'none'
  /** Where in the body the data begins, in UTF-16 units, so that it can be cut out as it was. */
  readonly at: number
  /** `datacontenttype` was the header `content-type`. */
  readonly isTyped: boolean
}

export const frameAttribute = 'headwater'
export const bodyAttribute = 'headwater-body'
export const contentType = 'content-type'
export const structured = 'application/cloudevents+json'

export const maxAttributes = 10
/** Of a message, and of a request: body, and names, types and values of the attributes. */
export const maxBytes = 1_048_576
export const maxEntries = 10

/** Characters that SQS does not take. */
const unfit = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u

export function isFit(text: string): boolean {
  return !unfit.test(text)
}

/** JSON text holds no other unfit characters than these two: `JSON.stringify` escapes the rest. */
export function toFitJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[\uFFFE\uFFFF]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`)
}
