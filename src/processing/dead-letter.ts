import { createHash } from 'node:crypto'
import type { RecordedEvent } from '../message/event.ts'
import { describeError } from '../observability/log.ts'
import type { CollectionSpec } from '../storage/document-port.ts'
import { encodeField } from '../storage/field.ts'
import type { DocumentWrite } from '../storage/write-set.ts'

/**
 * What became of a message that could not be handled:
 * `retrying`: it will be tried again at `nextAttemptAt`; `parked`: given up, its key waits for an operator;
 * `waiting`: nothing is wrong with it, it waits behind one of its key that is retried or parked; `dead`: given up alone, its key went on.
 */
export type DeadLetterState = 'retrying' | 'parked' | 'waiting' | 'dead'

/** A message that is not on its way any more. Texts of times are ISO 8601, in UTC. */
export interface DeadLetter {
  /** `<processor>@<position>`. */
  readonly id: string
  readonly processor: string
  readonly state: DeadLetterState
  /** Its key: messages of one key are handled in the order of their positions. */
  readonly key: string
  /** In the processor's source: the position in the log, or what counts messages where they came from. */
  readonly position: number
  readonly type: string
  /** The message itself; null where it is in the log, at `position`. */
  readonly message: StoredMessage | null
  /** Where it came from, if not from the log. */
  readonly origin: Origin | null
  readonly attempts: number
  /** The latest attempts, the newest last. */
  readonly history: readonly FailedAttempt[]
  /** Why the last attempt failed; null of one that waits. */
  readonly error: Failure | null
  /** The same for messages that failed for the same reason. */
  readonly fingerprint: string | null
  /** When it failed first. */
  readonly failedAt: string | null
  readonly nextAttemptAt: string | null
  /** What was changed by whom before it was tried again. */
  readonly edit: Edit | null
}

export interface StoredMessage extends Omit<RecordedEvent, 'time'> {
  readonly time: string
}

export interface Origin {
  readonly topic: string
  readonly partition: number | null
  readonly offset: number | null
  /** The body as it came, in base64, where it could not be understood. */
  readonly raw?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface FailedAttempt {
  readonly at: string
  readonly error: string
  readonly durationMs: number
}

export interface Failure {
  readonly name: string
  readonly code: string | null
  readonly message: string
  readonly stack: string | null
}

export interface Edit {
  readonly by: string
  readonly at: string
  readonly reason: string
  /** The data as it was. */
  readonly original: unknown
}

/** They are documents like those of a read model, so that the same can be asked of them on every store. */
export const deadLetterCollection: CollectionSpec = {
  id: 'headwater:dead-letters@1.1',
  projection: 'headwater:dead-letters',
  version: 1,
  indexed: ['processor', 'state', 'key', 'position', 'type', 'fingerprint', 'failedAt'],
  searchable: false,
}

export function deadLetterId(processor: string, position: number): string {
  return `${processor}@${position}`
}

export function writeDeadLetter(letter: DeadLetter): DocumentWrite {
  const values = letter as unknown as Readonly<Record<string, unknown>>
  return {
    collection: deadLetterCollection.id,
    key: letter.id,
    document: JSON.stringify(letter),
    fields: deadLetterCollection.indexed.map((field) => encodeField(values[field])),
    words: null,
  }
}

export function removeDeadLetter(id: string): DocumentWrite {
  return { collection: deadLetterCollection.id, key: id, document: null, fields: deadLetterCollection.indexed.map(() => ''), words: null }
}

/** What a letter says of its message, whatever became of it. */
export type LetterFrame = Pick<
  DeadLetter,
  'id' | 'processor' | 'key' | 'position' | 'type' | 'message' | 'origin' | 'nextAttemptAt' | 'edit'
>

/** How an attempt failed. */
export interface FailedAttemptReport {
  readonly error: unknown
  readonly atMs: number
  readonly durationMs: number
}

/** What is known of a failed message from its earlier attempts: a dead letter, or as much of one as came with the message. */
export type EarlierAttempts = Pick<DeadLetter, 'attempts' | 'history' | 'failedAt'> & Partial<DeadLetter>

/** What is remembered of an attempt that failed. */
export function attemptFailed({ error, atMs, durationMs }: FailedAttemptReport): FailedAttempt {
  return { at: new Date(atMs).toISOString(), error: describeError(error).slice(0, 500), durationMs: Math.round(durationMs) }
}

const keptAttempts = 20

/** The letter of a message that has failed once more, and was given up alone. `before` is what is known of it already. */
export function failedLetter(frame: LetterFrame, report: FailedAttemptReport, before: EarlierAttempts | undefined): DeadLetter {
  const failure = failureOf(report.error)
  const failed = attemptFailed(report)
  return {
    ...frame,
    state: 'dead',
    attempts: (before?.attempts ?? 0) + 1,
    history: [...(before?.history ?? []), failed].slice(-keptAttempts),
    error: failure,
    fingerprint: fingerprintOf(frame.processor, failure),
    failedAt: before?.failedAt ?? failed.at,
    edit: before?.edit ?? null,
    ...(before?.message && { message: before.message, origin: before.origin ?? null }),
  }
}

export function storedMessage(event: RecordedEvent): StoredMessage {
  return { ...event, time: event.time.toISOString() }
}

export function restoredMessage(message: StoredMessage): RecordedEvent {
  return { ...message, time: new Date(message.time) }
}

export function failureOf(error: unknown): Failure {
  if (!(error instanceof Error)) return { name: typeof error, code: null, message: String(error), stack: null }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : null
  return { name: error.name, code, message: describeError(error).slice(0, maxText), stack: error.stack?.slice(0, maxText) ?? null }
}

const maxText = 8_000

/** What tells causes apart: the handler, the kind of error, its message without what differs from one message to the next, and where it was thrown. */
export function fingerprintOf(processor: string, { name, code, message, stack }: Failure): string {
  const place = stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? ''
  const parts = [handlerOf(processor), name, code ?? '', withoutParticulars(message), place.replace(/:\d+:\d+\)?$/, '')]
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 12)
}

/** The processor without its partition or shard. */
function handlerOf(processor: string): string {
  return processor.replace(/\/\d+$|#\d+\/\d+$/, '')
}

/** Ids, numbers and quoted texts stand for any. */
function withoutParticulars(message: string): string {
  return message
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi, '#')
    .replaceAll(/'[^']*'|"[^"]*"|`[^`]*`/g, '#')
    .replaceAll(/\d+/g, '#')
}
