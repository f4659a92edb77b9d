import { uuidv7 } from '../message/id.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { ProcessorReset } from '../storage/port.ts'
import { DeadLetters } from './dead-letters.ts'
import { ResetRefusedError } from './errors.ts'
import type { Lease } from './lease-keeper.ts'
import { LeaseKeeper, resetter } from './lease-keeper.ts'
import { forgetSequences } from './sequence-store.ts'

/** Of an inbox, forgotten at a time, so that nobody who commits waits for long; and the pause between. */
const forgottenAtOnce = 2_000
const pauseMs = 20

/**
 * Processors that were taken from whoever runs them, to be put somewhere else. While they are held, nothing else can move their checkpoints, hold messages
 * back or finish some: who ran them is refused, and begins anew, by itself, when they are given back.
 */
export class TakenProcessors implements AsyncDisposable {
  readonly #store: EventStore
  readonly #keeper: LeaseKeeper
  readonly #leases = new Map<string, Lease>()

  constructor(store: EventStore) {
    this.#store = store
    this.#keeper = new LeaseKeeper(store, { owner: `${resetter}${process.pid}-${uuidv7()}` })
    this.#keeper.start()
  }

  /**
   * Takes a processor; one that is not there is made at `startAt`. With `fromOwner` it is taken from whoever runs it.
   * @throws ResetRefusedError
   */
  async take(processor: string, startAt: number, { fromOwner }: { readonly fromOwner: boolean }): Promise<Lease> {
    const known = this.#leases.get(processor)
    if (known) return known
    const lease = await this.#keeper.claim(processor, startAt, { takesOver: fromOwner })
    if ('heldBy' in lease) {
      const who = lease.heldBy.startsWith(resetter)
        ? 'is being reset by somebody else'
        : 'is running, and its broker cannot take from it what it holds'
      throw new ResetRefusedError(`${processor} ${who} (${lease.heldBy}): try it again when that has ended`)
    }
    this.#leases.set(processor, lease)
    return lease
  }

  /** Forgets which messages these have finished. Those that were not taken may go on meanwhile: what they finish from now on they remember. */
  async forgetFinished(consumers: readonly string[]): Promise<void> {
    const { driver, environment } = this.#store
    for (const consumer of consumers) {
      while ((await driver.inbox.forget({ consumer, beforeMs: Infinity, limit: forgottenAtOnce })) === forgottenAtOnce)
        await environment.clock.sleep(pauseMs)
      await forgetSequences(this.#store, consumer)
    }
  }

  /** Puts processors somewhere else, all in one commit, and gives them back. @throws ResetRefusedError */
  async put(resets: readonly ProcessorReset[]): Promise<void> {
    this.refuseIfLost()
    if (resets.length === 0) return
    await this.#store.driver.processors.reset(...resets)
    for (const { processor } of resets) this.#leases.delete(processor)
  }

  /** @throws ResetRefusedError when this process was away for so long that others have the processors */
  refuseIfLost(): void {
    for (const { lost, processor } of this.#leases.values())
      if (lost.aborted) throw new ResetRefusedError(`${processor} was taken by somebody else meanwhile: try it again`)
  }

  /** Gives back what was taken. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#keeper.stop()
  }
}

/**
 * Messages that wait for another attempt, or behind one, are neither before nor behind a place: a reset would handle them twice and out of order, or never. To be asked
 * before the processors are taken, so that nobody is disturbed for nothing, and while they are, since only then nothing is added.
 * @throws ResetRefusedError that names one
 */
export async function refuseHeldMessages(store: EventStore, processors: readonly string[]): Promise<void> {
  if (processors.length === 0) return
  const { documents, next } = await new DeadLetters(store).list({ processor: processors, state: ['retrying', 'parked', 'waiting'] })
  const [first] = documents
  if (!first) return
  const count = `${documents.length}${next === undefined ? '' : ' or more'}`
  throw new ResetRefusedError(
    `${first.processor} holds messages back (${count}, the first is ${first.id}), which a reset would handle twice or never: have them tried again, or ` +
      'discard them, with `headwater dead-letters` or `app.deadLetters`, and then reset',
  )
}
