import type { ReceivedMessage } from '../port.ts'
import { decodeMessage, sizeOf } from './wire.ts'
import type { Given } from './wire.ts'

/** A message that the server has given to this process and that is neither acknowledged nor given back. */
export interface Held {
  readonly sequence: number
  readonly bytes: number
  /** Where the answer goes. Another one after a redelivery. */
  reply: string
  readonly message: ReceivedMessage
}

/** A message that is not to be worked on yet. */
export interface Early {
  readonly sequence: number
  readonly dueMs: number
}

/** How many finished messages are remembered, to recognise them when the server gives them once more. */
const maxRemembered = 10_000

/** What this process holds of a group: what nobody has read yet, in order, and what is being worked on. */
export class Holdings {
  readonly #topic: string
  readonly #held = new Map<number, Held>()
  /** Ascending. */
  #unread: Held[] = []
  /** Not readable before the gate opens. */
  #gated: Held[] | undefined
  readonly #finished = new Set<number>()
  readonly #remembered: number[] = []
  #nextRemembered = 0
  #bytes = 0
  #lastSequence = 0

  constructor(topic: string) {
    this.#topic = topic
  }

  get count(): number {
    return this.#held.size
  }

  get bytes(): number {
    return this.#bytes
  }

  get hasUnread(): boolean {
    return this.#unread.length > 0
  }

  /** The highest sequence that ever came, or that the group was at. */
  get lastSequence(): number {
    return this.#lastSequence
  }

  /** Takes in what the server gives, unless it is too early. `'finished'`: it is acknowledged already, and the server has not heard of it. */
  arrive(message: Given, nowMs: number): 'new' | 'held' | 'finished' | Early {
    const reply = message.reply ?? ''
    const { sequence, nanoseconds } = deliveryOf(reply)
    if (this.#finished.has(sequence)) return 'finished'
    const held = this.#held.get(sequence)
    if (held) {
      held.reply = reply
      return 'held'
    }
    const bytes = sizeOf(message)
    const { id, deliverAtMs, ...content } = decodeMessage(message)
    if (deliverAtMs > nowMs) return { sequence, dueMs: deliverAtMs }
    const received: ReceivedMessage = {
      ...content,
      // The time keeps apart what had this place before the stream was removed and made anew.
      id: id ?? `${this.#topic}/${sequence}@${nanoseconds}`,
      topic: this.#topic,
      partition: undefined,
      offset: sequence,
      timeMs: Math.floor(Number(nanoseconds) / 1e6),
    }
    const arrived: Held = { sequence, bytes, reply, message: received }
    this.#held.set(sequence, arrived)
    this.#bytes += bytes
    this.#lastSequence = Math.max(this.#lastSequence, sequence)
    insert(this.#gated ?? this.#unread, arrived)
    return 'new'
  }

  /** From now on what arrives is held back, until `openGate` puts it in order. */
  closeGate(): void {
    this.#gated ??= []
  }

  openGate(): void {
    const gated = this.#gated ?? []
    this.#gated = undefined
    for (const one of gated) insert(this.#unread, one)
  }

  /** How many of those behind the gate have at most this sequence. */
  gatedUpTo(sequence: number): number {
    return this.#gated?.filter((one) => one.sequence <= sequence).length ?? 0
  }

  /** Lets those of them through, in order, and keeps the rest behind the gate. */
  passGate(sequence: number): number {
    const passing = this.#gated?.filter((one) => one.sequence <= sequence) ?? []
    this.#gated = this.#gated?.filter((one) => one.sequence > sequence)
    for (const one of passing) insert(this.#unread, one)
    return passing.length
  }

  get gatedCount(): number {
    return this.#gated?.length ?? 0
  }

  /** All that is unread, oldest first. */
  take(): readonly ReceivedMessage[] {
    const taken = this.#unread
    this.#unread = []
    return taken.map(({ message }) => message)
  }

  /** What of these is held, no longer counted as held. */
  finish(messages: readonly ReceivedMessage[]): readonly Held[] {
    return this.#drop(messages, (sequence) => {
      // Whose turn it is to be forgotten is kept apart, since to find the oldest entry of a set takes longer the more were deleted.
      const oldest = this.#remembered[this.#nextRemembered]
      if (oldest !== undefined) this.#finished.delete(oldest)
      this.#finished.add(sequence)
      this.#remembered[this.#nextRemembered] = sequence
      this.#nextRemembered = (this.#nextRemembered + 1) % maxRemembered
    })
  }

  /** The same, for messages that were not finished. */
  giveBack(messages: readonly ReceivedMessage[]): readonly Held[] {
    return this.#drop(messages).toSorted(bySequence)
  }

  /** Puts these back before what nobody has read yet. */
  putBack(messages: readonly ReceivedMessage[]): void {
    const unread = new Set(this.#unread)
    for (const { offset } of messages) {
      const held = this.#held.get(offset ?? 0)
      if (held && !unread.has(held)) insert(this.#unread, held)
    }
  }

  /** Puts back whatever somebody has read and not finished. */
  putAllBack(): void {
    const gated = new Set(this.#gated)
    this.#unread = this.all().filter((held) => !gated.has(held))
  }

  /** Everything, oldest first. */
  all(): Held[] {
    return [...this.#held.values()].toSorted(bySequence)
  }

  /** Gives up everything, oldest first. */
  surrender(): readonly Held[] {
    const all = this.all()
    this.#held.clear()
    this.#unread = []
    this.#gated = undefined
    this.#bytes = 0
    return all
  }

  #drop(messages: readonly ReceivedMessage[], note?: (sequence: number) => void): Held[] {
    const dropped: Held[] = []
    for (const { offset } of messages) {
      const held = this.#held.get(offset ?? 0)
      if (!held) continue
      this.#held.delete(held.sequence)
      this.#bytes -= held.bytes
      note?.(held.sequence)
      dropped.push(held)
    }
    return dropped
  }
}

const bySequence = (one: Held, other: Held): number => one.sequence - other.sequence

/** Nearly everything belongs at the end. */
function insert(ascending: Held[], held: Held): void {
  let index = ascending.length
  while (index > 0 && ascending[index - 1]!.sequence > held.sequence) index--
  if (index === ascending.length) ascending.push(held)
  else ascending.splice(index, 0, held)
}

/** `$JS.ACK.[domain.account.]stream.consumer.deliveries.sequence.consumerSequence.nanoseconds.pending[.random]` */
function deliveryOf(reply: string): { readonly sequence: number; readonly nanoseconds: string } {
  const tokens = reply.split('.')
  const shift = tokens.length > 9 ? 2 : 0
  return { sequence: Number(tokens[5 + shift]), nanoseconds: tokens[7 + shift] ?? '0' }
}
