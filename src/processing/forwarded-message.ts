import type { OutgoingMessage, ReceivedMessage } from '../transport/port.ts'
import type { FailedAttempt } from './dead-letter.ts'
import { failureOf } from './dead-letter.ts'

// A message in a retry topic is the one that came, to the byte, with headers beside its own that say where it came from and why it failed. Their names are
// Spring Kafka's (KafkaHeaders, RetryTopicHeaders), so that people and tools find what they know; their values are texts, numbers in decimal.

const names = {
  attempts: 'retry_topic-attempts',
  dueAt: 'retry_topic-backoff-timestamp',
  firstSeen: 'retry_topic-original-timestamp',
  topic: 'kafka_original-topic',
  partition: 'kafka_original-partition',
  offset: 'kafka_original-offset',
  timestamp: 'kafka_original-timestamp',
  group: 'kafka_original-consumer-group',
  error: 'kafka_exception-fqcn',
  message: 'kafka_exception-message',
  stack: 'kafka_exception-stacktrace',
  /** What Spring has no place for, as JSON: see `Kept`. */
  kept: 'headwater-retry',
} as const
const ours: ReadonlySet<string> = new Set(Object.values(names))

interface Kept {
  readonly history: readonly FailedAttempt[]
  /** Headers that the message had of the names above: somebody else's retry topic may be where it came from. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Brokers have limits for headers: the dead letter in the store has all of it. */
const maxMessageLength = 500
const maxStackLength = 2_000
const maxHistoryErrorLength = 200

/** A message from a retry topic. */
export interface Forwarded {
  /** As it came at first: its headers, where it was, when the broker got it. */
  readonly original: ReceivedMessage
  readonly history: readonly FailedAttempt[]
  /** When it is to be tried, in milliseconds since 1970; undefined where nobody says so. */
  readonly dueMs: number | undefined
}

/** Why and where a message failed that is sent on. */
export interface Forwarding {
  readonly original: ReceivedMessage
  readonly id: string
  readonly group: string
  readonly error: unknown
  /** All attempts so far. */
  readonly history: readonly FailedAttempt[]
  /** When the broker got it, or where it does not say so, when it happened. */
  readonly timeMs: number
  /** Of the attempt that comes next; or of the last one. */
  readonly attempt: number
}

/** For a retry topic, where it is tried again at `dueMs`. */
export function messageForRetry(forwarding: Forwarding, dueMs: number): OutgoingMessage {
  const { original, group, history, timeMs } = forwarding
  const replaced = Object.fromEntries(Object.entries(original.headers).filter(([name]) => ours.has(name)))
  const kept: Kept = {
    history: history.map((attempt) => ({ ...attempt, error: cut(attempt.error, maxHistoryErrorLength) })),
    ...(Object.keys(replaced).length > 0 && { headers: replaced }),
  }
  const { name, message, stack } = failureTexts(forwarding.error)
  return outgoing(forwarding, {
    [names.attempts]: forwarding.attempt,
    [names.dueAt]: dueMs,
    [names.firstSeen]: timeMs,
    [names.topic]: original.topic,
    [names.partition]: original.partition,
    [names.offset]: original.offset,
    [names.timestamp]: timeMs,
    [names.group]: group,
    [names.error]: name,
    [names.message]: message,
    [names.stack]: stack,
    [names.kept]: JSON.stringify(kept),
  })
}

/** For the topic of dead letters, where nobody here reads it. */
export function messageForDeadLetters(forwarding: Forwarding): OutgoingMessage {
  const { original, group, timeMs } = forwarding
  const { name, message, stack } = failureTexts(forwarding.error)
  return outgoing(forwarding, {
    [names.attempts]: forwarding.attempt,
    'kafka_dlt-original-topic': original.topic,
    'kafka_dlt-original-partition': original.partition,
    'kafka_dlt-original-offset': original.offset,
    'kafka_dlt-original-timestamp': timeMs,
    'kafka_dlt-original-consumer-group': group,
    'kafka_dlt-exception-fqcn': name,
    'kafka_dlt-exception-message': message,
    'kafka_dlt-exception-stacktrace': stack,
  })
}

/** What `messageForRetry` has written. A message that somebody else put into a retry topic is taken as it is, and at once. */
export function readForwarded(message: ReceivedMessage): Forwarded {
  const { headers } = message
  const topic = headers[names.topic]
  const kept = readKept(headers[names.kept])
  if (topic === undefined || !kept) return { original: message, history: [], dueMs: undefined }
  const own = Object.fromEntries(Object.entries(headers).filter(([name]) => !ours.has(name)))
  const original: ReceivedMessage = {
    ...message,
    // Those of a class may be getters, which a copy does not take along.
    key: message.key,
    attributes: message.attributes,
    body: message.body,
    id: message.id,
    headers: { ...own, ...kept.headers },
    topic,
    partition: numberOf(headers[names.partition]),
    offset: numberOf(headers[names.offset]),
    timeMs: numberOf(headers[names.timestamp]),
  }
  return { original, history: kept.history, dueMs: numberOf(headers[names.dueAt]) }
}

function outgoing({ original, id }: Forwarding, added: Readonly<Record<string, string | number | undefined>>): OutgoingMessage {
  const headers: Record<string, string> = { ...original.headers }
  for (const [name, value] of Object.entries(added))
    if (value === undefined) delete headers[name]
    else headers[name] = String(value)
  const { key, attributes, body } = original
  return { id, key, attributes, headers, body }
}

function failureTexts(error: unknown): { readonly name: string; readonly message: string; readonly stack: string | undefined } {
  const { name, message, stack } = failureOf(error)
  return {
    name: cut(name, maxMessageLength),
    message: cut(message, maxMessageLength),
    stack: stack === null ? undefined : cut(stack, maxStackLength),
  }
}

/** Half a character at the end would be no text that a broker takes. */
function cut(text: string, length: number): string {
  return text.slice(0, length).toWellFormed()
}

function readKept(text: string | undefined): Kept | undefined {
  if (text === undefined) return undefined
  try {
    const { history, headers } = JSON.parse(text) as Partial<Kept>
    return Array.isArray(history) ? { history, ...(headers && { headers }) } : undefined
  } catch {
    return undefined
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined
}
