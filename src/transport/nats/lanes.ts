import type { MsgHdrs } from '@nats-io/transport-node'
import { MessageTooLargeError } from '../errors.ts'
import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import { escapeName, subjectOf } from './names.ts'
import { encodeHeaders } from './wire.ts'

/** One call of `publish`. */
export interface Call {
  readonly outcomes: PublishOutcome[]
  readonly deadlineMs: number
  left: number
  resolve(outcomes: readonly PublishOutcome[]): void
}

/** A message that is neither confirmed nor refused yet. */
export interface Pending {
  readonly call: Call
  readonly index: number
  readonly id: string
  readonly topic: Topic
  readonly key: string | undefined
  readonly subject: string
  readonly headers: MsgHdrs
  readonly body: Uint8Array
  readonly bytes: number
  /** The next of its key. */
  next: Pending | undefined
  /** Until when an answer, or the next attempt, is waited for. */
  waitsUntilMs: number
  attempts: number
}

export interface Topic {
  readonly name: string
  readonly stream: string
  /** By type. */
  readonly subjects: Map<string | undefined, string>
  /** The last message of each key. */
  readonly tails: Map<string, Pending>
}

/**
 * Messages that are to be published, of one key one behind the other: **each waits until the one before it is done**. A message that is lost, or refused by
 * a new leader, would otherwise be overtaken by the next one that is not.
 */
export class Lanes {
  readonly #topics = new Map<string, Topic>()

  topic(name: string): Topic {
    let topic = this.#topics.get(name)
    if (!topic) this.#topics.set(name, (topic = { name, stream: escapeName(name), subjects: new Map(), tails: new Map() }))
    return topic
  }

  /** True when the message may be sent now, false when it will be the `next` of another one. */
  enter(pending: Pending): boolean {
    const { key, topic } = pending
    if (key === undefined) return true
    const before = topic.tails.get(key)
    topic.tails.set(key, pending)
    if (before) before.next = pending
    return before === undefined
  }

  /** The message is done: gives the one that may be sent now. */
  finish(pending: Pending, outcome: PublishOutcome): Pending | undefined {
    const { key, next, topic } = pending
    if (!next && key !== undefined) topic.tails.delete(key)
    report(pending.call, pending.index, outcome)
    return next
  }

  /** The message is given up, and what stands behind it of its key is not sent either: it would overtake it. */
  fail(pending: Pending, error: Error): void {
    if (pending.key !== undefined) pending.topic.tails.delete(pending.key)
    for (let one: Pending | undefined = pending; one; one = one.next) report(one.call, one.index, { ok: false, refused: false, error })
  }
}

export function report(call: Call, index: number, outcome: PublishOutcome): void {
  call.outcomes[index] = outcome
  if (--call.left === 0) call.resolve(call.outcomes)
}

/** @throws MessageTooLargeError, UnsupportedByTransportError */
export function prepare(topic: Topic, message: OutgoingMessage, call: Call, index: number, maxBytes: number, nowMs: number): Pending {
  const { id, key, body } = message
  const encoded = encodeHeaders(message, nowMs)
  const bytes = encoded.length + body.length
  if (bytes > maxBytes) throw new MessageTooLargeError(id, bytes, { bytes: maxBytes, name: "the server's max_payload" })
  const type = message.attributes['type']
  const subject = (message.delayMs ?? 0) > 0 ? subjectOf(topic.stream, type, true) : subjectIn(topic, type)
  const headers = asHeaders(encoded)
  return { call, index, id, topic, key, subject, headers, body, bytes, next: undefined, waitsUntilMs: 0, attempts: 0 }
}

/** Types are few, as a rule. */
const maxSubjects = 1_000

function subjectIn({ stream, subjects }: Topic, type: string | undefined): string {
  let subject = subjects.get(type)
  if (subject === undefined) {
    subject = subjectOf(stream, type)
    if (subjects.size < maxSubjects) subjects.set(type, subject)
  }
  return subject
}

/** All that the client does with headers when it sends them is to encode them; ours are. */
function asHeaders(bytes: Uint8Array): MsgHdrs {
  const encoded: unknown = { encode: () => bytes }
  return encoded as MsgHdrs
}
