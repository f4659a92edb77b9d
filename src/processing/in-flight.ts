import type { RecordedEvent } from '../message/event.ts'
import type { OutgoingMessage, PublishOutcome } from '../transport/port.ts'

/** A piece of the log on its way to a topic: what is handed over in one call. */
export interface Parcel {
  readonly events: readonly RecordedEvent[]
  /** One for each of the events. */
  readonly messages: readonly OutgoingMessage[]
  /** Up to here there are no other events for the topic. */
  readonly through: number
  /** The event behind them of which no message can be made. */
  readonly unsendable?: PublishFailure | undefined
}

/** The event that stands still, and why. */
export interface PublishFailure {
  readonly event: RecordedEvent
  readonly error: unknown
}

export interface InFlightParts {
  readonly publish: (messages: readonly OutgoingMessage[]) => Promise<readonly PublishOutcome[]>
  /** The broker will never take the event. */
  readonly onRefused: (event: RecordedEvent, error: Error) => void
  /** Everything up to the position is confirmed or refused; `count` is how many events more that are than before. */
  readonly onThrough: (position: number, count: number) => void
}

interface Flying extends Parcel {
  readonly bytes: number
  outcomes: readonly PublishOutcome[] | undefined
}

/** Fewer than what a slow broker confirms before it counts as too late, and more than a quick one does while the next ones are made. */
const maxMessages = 4_000
const maxBytes = 8 * 1024 * 1024
/** Attributes, headers and key of a message, about. */
const messageOverhead = 600

/**
 * What was handed over to a transport and is not confirmed: several calls beside each other, of which the outcomes are looked at in the order of the log. So
 * a confirmed event counts only when everything before it does. After a failure nothing more may be handed over: the transport sends nothing that stood
 * behind the failed message, of its key, but knows nothing of what comes later.
 */
export class InFlight {
  readonly #parts: InFlightParts
  readonly #flying: Flying[] = []
  #messages = 0
  #bytes = 0
  #isFailing = false
  #failure: PublishFailure | undefined
  #changed = Promise.withResolvers<void>()

  constructor(parts: InFlightParts) {
    this.#parts = parts
  }

  get isEmpty(): boolean {
    return this.#flying.length === 0
  }

  /** True as soon as any call has failed, even while calls that were made before it are under way. */
  get isFailing(): boolean {
    return this.#isFailing
  }

  /** The first event, in the order of the log, that could not be published; to be asked for when everything has landed. */
  get failure(): PublishFailure | undefined {
    return this.#failure
  }

  /** Hands the parcel over before it returns. To be called when there is room. */
  send(parcel: Parcel): void {
    const { messages, unsendable } = parcel
    let bytes = messages.length * messageOverhead
    for (const { body } of messages) bytes += body.byteLength
    const flying: Flying = { ...parcel, bytes, outcomes: undefined }
    this.#flying.push(flying)
    this.#messages += messages.length
    this.#bytes += bytes
    if (unsendable) this.#isFailing = true
    if (messages.length === 0) return this.#landed(flying, [])
    this.#parts.publish(messages).then(
      (outcomes) => this.#landed(flying, outcomes),
      (error: unknown) => {
        const failed: PublishOutcome = { ok: false, refused: false, error: error instanceof Error ? error : new Error(String(error)) }
        this.#landed(
          flying,
          messages.map(() => failed),
        )
      },
    )
  }

  /** Resolves when the next parcel may be sent, or none may be any more. */
  async room(): Promise<void> {
    while (!this.#isFailing && (this.#messages >= maxMessages || this.#bytes >= maxBytes)) await this.#changed.promise
  }

  /** Resolves when nothing is under way any more. */
  async landed(): Promise<void> {
    while (this.#flying.length > 0) await this.#changed.promise
  }

  #landed(landed: Flying, outcomes: readonly PublishOutcome[]): void {
    landed.outcomes = outcomes
    this.#messages -= landed.messages.length
    this.#bytes -= landed.bytes
    if (outcomes.some(isUnconfirmed)) this.#isFailing = true
    for (let [first] = this.#flying; first?.outcomes; [first] = this.#flying) {
      this.#flying.shift()
      if (!this.#failure) this.#settle(first, first.outcomes)
    }
    const changed = this.#changed
    this.#changed = Promise.withResolvers()
    changed.resolve()
  }

  #settle({ events, through, unsendable }: Flying, outcomes: readonly PublishOutcome[]): void {
    const failedAt = outcomes.findIndex(isUnconfirmed)
    const done = failedAt < 0 ? events.length : failedAt
    for (const [index, outcome] of outcomes.slice(0, done).entries()) if (!outcome.ok) this.#parts.onRefused(events[index]!, outcome.error)
    const failed = outcomes[failedAt]
    this.#failure = failed && !failed.ok ? { event: events[failedAt]!, error: failed.error } : unsendable
    const position = failed ? events[failedAt - 1]?.position : through
    if (position !== undefined) this.#parts.onThrough(position, done)
  }
}

function isUnconfirmed(outcome: PublishOutcome): boolean {
  return !outcome.ok && !outcome.refused
}
