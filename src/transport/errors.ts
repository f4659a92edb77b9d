import { HeadwaterError } from '../message/errors.ts'

/** The broker cannot be reached, or does not answer. */
export class TransportUnavailableError extends HeadwaterError {
  readonly code = 'transport-unavailable'
}

/** The connection to the broker was closed by this program. */
export class TransportClosedError extends HeadwaterError {
  readonly code = 'transport-closed'

  constructor(transport: string) {
    super(`the connection to ${transport} is closed`)
  }
}

/** The broker is too old, or set in a way that would break a promise. */
export class UnsupportedBrokerError extends HeadwaterError {
  readonly code = 'unsupported-broker'
}

/** The broker cannot do what was asked for, such as to go back in time. */
export class UnsupportedByTransportError extends HeadwaterError {
  readonly code = 'unsupported-by-transport'
}

/** The topic does not exist. */
export class UnknownTopicError extends HeadwaterError {
  readonly code = 'unknown-topic'

  constructor(transport: string, topic: string) {
    super(`${transport} has no topic ${topic}`)
  }
}

/** The topic is there with other settings than those asked for. */
export class TopicMismatchError extends HeadwaterError {
  readonly code = 'topic-mismatch'

  constructor(topic: string, setting: string, wanted: unknown, actual: unknown) {
    super(`the topic ${topic} has ${setting} = ${String(actual)}, not ${String(wanted)}`)
  }
}

/** The message is larger than the broker takes. */
export class MessageTooLargeError extends HeadwaterError {
  readonly code = 'message-too-large'

  constructor(id: string, bytes: number, limit: { readonly bytes: number; readonly name: string }) {
    super(`the message ${id} has ${bytes} bytes; ${limit.name} is ${limit.bytes}`)
  }
}

/** What comes after the checkpoint is not kept any more: messages are lost to this group. */
export class OffsetOutOfRangeError extends HeadwaterError {
  readonly code = 'offset-out-of-range'
}

/** A transform took longer than its `timeoutMs`. */
export class TransformTimeoutError extends HeadwaterError {
  readonly code = 'transform-timeout'

  constructor(group: string, timeoutMs: number) {
    super(`the transform ${group} took longer than ${timeoutMs} ms`)
  }
}

/** The message is none that could be understood. */
export class UnreadableMessageError extends HeadwaterError {
  readonly code = 'unreadable-message'
}

/** The message does not prove that somebody wrote it who may. */
export class UnauthenticatedMessageError extends HeadwaterError {
  readonly code = 'unauthenticated-message'
}
