import type { Clock } from '../message/clock.ts'
import type { RecordedEvent } from '../message/event.ts'
import type { MessageIdentity } from '../storage/write-set.ts'
import type { CheckpointState, Suspect } from './checkpoint-writer.ts'
import { identityOf } from './checkpoint-writer.ts'
import type { Lease } from './lease-keeper.ts'

/** After so many deaths in a row the messages are tried one by one, to find out which of them kills the process. */
const deathsBeforeSuspicion = 2
/** So many messages may have been at hand when it died. */
const suspectedMessages = 1_000
/** A process that has lived so long was not killed by what it began with. */
const healthyAfterMs = 30_000

/** What is known of processes that have died with this lease, and of the messages that may have killed them. */
export class Suspicion {
  /** How many in a row. */
  readonly deaths: number
  /** Positions of held messages that an earlier process was about to try when it died. */
  readonly heldAccused: readonly number[]
  /** The identities of other messages that it was about to try. */
  readonly #accused: ReadonlySet<string>
  readonly #clock: Clock
  readonly #startedMs: number
  /** So many messages more are tried one by one. */
  #left: number

  constructor({ abandoned }: Lease, { crashes = 0, trying = [] }: CheckpointState, clock: Clock) {
    this.deaths = abandoned ? crashes + 1 : 0
    const suspects = abandoned ? trying : []
    this.#accused = new Set(suspects.flatMap(({ identity }) => identity ?? []))
    this.heldAccused = suspects.flatMap(({ position, identity }) => (identity === undefined ? position : []))
    this.#left = this.deaths >= deathsBeforeSuspicion ? suspectedMessages : 0
    this.#clock = clock
    this.#startedMs = clock.now()
  }

  /** Whether messages are tried one by one, each said on disk before. */
  get isOnWatch(): boolean {
    return this.#left > 0
  }

  /** Whether any message could be looked at otherwise than all others. */
  get isNone(): boolean {
    return this.#left === 0 && this.#accused.size === 0
  }

  /** Whether an earlier process died while it was about to try this one. */
  accuses(message: MessageIdentity): boolean {
    return this.#accused.size > 0 && this.#accused.has(identityOf(message))
  }

  /** The next one to be tried alone. */
  watch(event: RecordedEvent): Suspect {
    this.#left--
    return { position: event.position, identity: identityOf(event) }
  }

  /** What the next process is told, should this one die. */
  toldWith(trying: readonly Suspect[]): Omit<CheckpointState, 'progress'> {
    const isYoung = this.#clock.now() - this.#startedMs < healthyAfterMs
    return { ...(this.deaths > 0 && isYoung && { crashes: this.deaths }), ...(trying.length > 0 && { trying }) }
  }
}
