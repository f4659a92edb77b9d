import { describeError } from '../observability/log.ts'
import type { Backoff } from '../storage/backoff.ts'
import { backoffMs } from '../storage/backoff.ts'
import { FencedError, UnsupportedStoreError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { StagedEvent, Staging } from '../storage/port.ts'
import type { Lease, LeaseKeeper } from './lease-keeper.ts'

export interface SequencerOptions {
  /** How often to look for events while there are some now and then. Default: 10. */
  readonly pollMs?: number
  /** The longest pause between two looks, reached after a few seconds without events. Default: 100. */
  readonly idlePollMs?: number
  /** The same where nobody has ever published through the outbox of this store. Default: 1,000. */
  readonly unusedPollMs?: number
  /** How often the space of moved events is given back. Default: 30,000. */
  readonly rotateEveryMs?: number
  /** Events moved by one transaction at most. Default: 1,000. */
  readonly batchSize?: number
  /** Between attempts. Default: 100 ms, doubling, at most 30 s. */
  readonly backoff?: Backoff
}

export type SequencerState = 'starting' | 'standby' | 'running' | 'failing' | 'stopped'

export interface SequencerStatus {
  readonly processor: string
  readonly state: SequencerState
  /** Events that this process has moved into the log. */
  readonly moved: number
  /** Why it stands still, while `state` is `failing`. */
  readonly failure: string | undefined
}

/** So long after the last event looks go on at the short pace. */
const busyForMs = 1_000

/**
 * Moves the events of users' own transactions into the log: in order, and each once, since a batch and the cursor behind it are committed
 * together. One process does it, the others stand by. It polls, because what a commit in somebody else's transaction could tell us would
 * have to be said by that transaction, and would make all such transactions wait for each other.
 */
export class Sequencer {
  readonly #store: EventStore
  readonly #leases: LeaseKeeper
  readonly #staging: Staging
  readonly #options: Required<SequencerOptions>
  readonly #stopping = new AbortController()
  #state: SequencerState = 'starting'
  #moved = 0
  #failure: string | undefined
  #attempt = 0
  #running: Promise<void> | undefined

  /** @throws UnsupportedStoreError when the storage has no outbox: see `StorageDriver.staging`. */
  constructor({ store, leases }: { readonly store: EventStore; readonly leases: LeaseKeeper }, options: SequencerOptions = {}) {
    const { staging, capabilities } = store.driver
    if (!staging) throw new UnsupportedStoreError(`the storage ${capabilities.name} takes no events from transactions of others`)
    this.#store = store
    this.#leases = leases
    this.#staging = staging
    this.#options = {
      pollMs: options.pollMs ?? 10,
      idlePollMs: options.idlePollMs ?? 100,
      unusedPollMs: options.unusedPollMs ?? 1_000,
      rotateEveryMs: options.rotateEveryMs ?? 30_000,
      batchSize: Math.min(options.batchSize ?? 1_000, store.limits.maxEventsPerAppend),
      backoff: options.backoff ?? { firstMs: 100, maxMs: 30_000 },
    }
  }

  get status(): SequencerStatus {
    return { processor: this.#staging.processor, state: this.#state, moved: this.#moved, failure: this.#failure }
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Lets the batch at hand be committed, gives the lease back. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    this.#state = 'stopped'
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#store.environment
    while (!this.#stopping.signal.aborted) {
      let lease: Lease | undefined
      try {
        const claim = await this.#leases.claim(this.#staging.processor, 0)
        if ('lost' in claim) {
          lease = claim
          await this.#moveUnder(lease)
        } else {
          this.#state = 'standby'
          await clock.sleep(claim.retryInMs, this.#stopping.signal)
        }
      } catch (error) {
        if (error instanceof FencedError || lease?.lost.aborted)
          log('info', 'another process has taken over', { processor: this.#staging.processor })
        else await this.#fail(lease, error)
      } finally {
        if (lease) await this.#leases.release(lease).catch(() => undefined)
      }
    }
  }

  async #moveUnder(lease: Lease): Promise<void> {
    const { clock } = this.#store.environment
    const { pollMs, idlePollMs, unusedPollMs, batchSize } = this.#options
    const signal = AbortSignal.any([lease.lost, this.#stopping.signal])
    // At first too: another process may have left something behind.
    const rotation = { isDue: true, lastMs: clock.now() }
    let position = lease.position
    let isUsed = lease.state !== undefined
    let pauseMs = pollMs
    let busyUntilMs = isUsed ? clock.now() + busyForMs : 0
    while (!signal.aborted) {
      const page = await this.#staging.read(batchSize)
      if (page.cursor !== undefined) {
        position = Math.max(position, await this.#move(lease, page.events, { position, state: page.cursor }))
        busyUntilMs = clock.now() + busyForMs
        isUsed = true
        rotation.isDue = true
      }
      await this.#recover(lease)
      await this.#rotate(rotation)
      if (page.hasMore) continue
      pauseMs = clock.now() < busyUntilMs ? pollMs : Math.min(pauseMs * 2, isUsed ? idlePollMs : unusedPollMs)
      await clock.sleep(pauseMs, signal)
    }
  }

  /** Returns the position of the last event. The checkpoint has the one that was reached before: that of its own batch is not known yet. */
  async #move(
    lease: Lease,
    staged: readonly StagedEvent[],
    reached: { readonly position: number; readonly state: string | undefined },
  ): Promise<number> {
    // One append an event: what has been published before, under the same id, is left out alone.
    const appends = this.#withoutRepeats(staged).map(({ stream, event }) => ({ stream, expectedVersion: 'any' as const, events: [event] }))
    const checkpoint = { processor: lease.processor, epoch: lease.epoch, ...reached }
    const { position } = await this.#store.commit({ appends, checkpoint }, { duplicates: 'skip' })
    this.#moved += staged.length
    this.#store.environment.metrics.count('headwater_processor_events_total', staged.length, { processor: lease.processor })
    return position
  }

  /** The first of those with the same identity, as it would be if they came in different batches. */
  #withoutRepeats(staged: readonly StagedEvent[]): readonly StagedEvent[] {
    const first = new Map<string, StagedEvent>()
    const differing: string[] = []
    for (const each of staged) {
      const identity = `${each.event.id}\n${each.event.source}`
      const before = first.get(identity)
      if (!before) first.set(identity, each)
      else if (before.stream !== each.stream || before.event.type !== each.event.type || before.event.data !== each.event.data)
        differing.push(each.event.id)
    }
    if (differing.length > 0)
      this.#store.environment.log('warn', 'events were published again with another content; the first ones stay', { eventIds: differing })
    return [...first.values()]
  }

  /** Gives space back, now and then, as long as there is some to give. That it fails is no reason to leave events where they are. */
  async #rotate(rotation: { isDue: boolean; lastMs: number }): Promise<void> {
    const { clock, log } = this.#store.environment
    const nowMs = clock.now()
    if (!rotation.isDue || nowMs - rotation.lastMs < this.#options.rotateEveryMs) return
    rotation.lastMs = nowMs
    try {
      rotation.isDue = !(await this.#staging.rotate())
    } catch (error) {
      log('warn', 'the space of events that were moved could not be given back', { error: describeError(error) })
    }
  }

  /** The first success under a lease: whatever failed before, here or in another process, is over. */
  async #recover(lease: Lease): Promise<void> {
    if (this.#state === 'running') return
    this.#state = 'running'
    this.#failure = undefined
    this.#attempt = 0
    await this.#report(lease, null)
  }

  async #fail(lease: Lease | undefined, error: unknown): Promise<void> {
    const { clock, log, metrics, random } = this.#store.environment
    const { processor } = this.#staging
    this.#failure = describeError(error)
    this.#state = 'failing'
    const retryInMs = backoffMs(this.#attempt++, this.#options.backoff, random)
    metrics.count('headwater_processor_failures_total', 1, { processor })
    log('error', 'the outbox stands still', { processor, failure: this.#failure, attempt: this.#attempt, retryInMs: Math.round(retryInMs) })
    if (lease) await this.#report(lease, this.#failure)
    await clock.sleep(retryInMs, this.#stopping.signal)
  }

  /** For operators in other processes; that it cannot be written is no reason to stop. */
  async #report({ processor, epoch }: Lease, failure: string | null): Promise<void> {
    await this.#store.driver.processors.report({ processor, epoch, failure }).catch((error: unknown) => {
      this.#store.environment.log('warn', 'the state of a processor could not be stored', { processor, error: describeError(error) })
    })
  }
}
