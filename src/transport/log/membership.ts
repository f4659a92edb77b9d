import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { EventStore } from '../../storage/event-store.ts'

export interface Held {
  readonly epoch: number
  /** How far the group has acknowledged. */
  readonly position: number
  /** Aborted when the lease is lost, or may be. */
  readonly lost: AbortSignal
}

/** How often somebody who waits for the lease asks for it, at least; asking costs a read. */
const standbyMs = 500
const backoff = { firstMs: 100, maxMs: 2_000 }

/**
 * The membership of one subscription in a group: the lease on the topic's only partition. One member has it, the others stand by and get it when it is
 * given back, or has expired because its owner is gone.
 */
export class Membership {
  readonly #store: EventStore
  readonly #processor: string
  readonly #owner: string
  readonly #ttlMs: number

  constructor(store: EventStore, lease: { readonly processor: string; readonly owner: string; readonly ttlMs: number }) {
    this.#store = store
    this.#processor = lease.processor
    this.#owner = lease.owner
    this.#ttlMs = lease.ttlMs
  }

  /** Waits for the lease, works under it, gives it back, and begins anew if it was lost; until `leaving` is aborted. */
  async run(leaving: AbortSignal, work: (held: Held) => Promise<void>): Promise<void> {
    while (!leaving.aborted) {
      const claimed = await this.#claim(leaving)
      if (!claimed) return
      const lost = new AbortController()
      const done = new AbortController()
      const renewing = this.#renew(claimed, lost, done.signal)
      try {
        await work({ ...claimed, lost: lost.signal })
      } finally {
        done.abort()
        await renewing
        if (!lost.signal.aborted) await this.#release()
      }
    }
  }

  async #claim(leaving: AbortSignal): Promise<{ readonly epoch: number; readonly position: number; readonly askedMs: number } | undefined> {
    const { clock, log, random } = this.#store.environment
    for (let failures = 0; !leaving.aborted;) {
      const askedMs = clock.now()
      try {
        const claim = await this.#store.driver.processors.claim({
          processor: this.#processor,
          owner: this.#owner,
          ttlMs: this.#ttlMs,
          startAt: 0,
        })
        if (claim.claimed) return { epoch: claim.epoch, position: claim.position, askedMs }
        failures = 0
        await clock.sleep(Math.max(20, Math.min(claim.expiresInMs, standbyMs)), leaving)
      } catch (error) {
        log('warn', 'the lease of a group could not be asked for', { processor: this.#processor, error: describeError(error) })
        await clock.sleep(backoffMs(failures++, backoff, random), leaving)
      }
    }
    return undefined
  }

  /** A process that was paused, or cannot reach the database, finds out by its own clock that its time is over. */
  async #renew(
    { epoch, askedMs }: { readonly epoch: number; readonly askedMs: number },
    lost: AbortController,
    done: AbortSignal,
  ): Promise<void> {
    const { clock, log } = this.#store.environment
    let validUntilMs = askedMs + this.#ttlMs
    while (!done.aborted && !lost.signal.aborted) {
      await clock.sleep(this.#ttlMs / 3, done)
      if (done.aborted) return
      const sentMs = clock.now()
      try {
        const held = [{ processor: this.#processor, epoch }]
        const renewal = this.#store.driver.processors.renew({ owner: this.#owner, ttlMs: this.#ttlMs, held })
        const renewed = await Promise.race([renewal, clock.sleep(Math.max(0, validUntilMs - sentMs), done)])
        if (renewed?.length === 0) lost.abort()
        else if (renewed) validUntilMs = sentMs + this.#ttlMs
      } catch (error) {
        log('warn', 'the lease of a group could not be renewed', { processor: this.#processor, error: describeError(error) })
      }
      if (clock.now() >= validUntilMs) lost.abort()
    }
  }

  async #release(): Promise<void> {
    // It expires by itself when this fails.
    await this.#store.driver.processors.release({ owner: this.#owner, processors: [this.#processor] }).catch(() => undefined)
  }
}
