import { uuidv7 } from '../message/id.ts'
import { describeError } from '../observability/log.ts'
import type { EventStore } from '../storage/event-store.ts'

export interface Lease {
  readonly processor: string
  readonly epoch: number
  /** The checkpoint when the lease was taken. */
  readonly position: number
  /** What was kept with the checkpoint. */
  readonly state: string | undefined
  /** True when the last owner did not give its lease back: it has probably died. */
  readonly abandoned: boolean
  /** Aborted when the lease is lost, or may be: whoever works under it stops. The store refuses late writes in any case. */
  readonly lost: AbortSignal
}

/** With this the name of an owner begins who takes processors only to put them somewhere else. */
export const resetter = 'reset:'

/** A lease that was given back is found so soon, however long it would have lasted. */
const standbyMs = 1_000

interface Held {
  readonly epoch: number
  readonly controller: AbortController
  /** On this process's clock; later the lease counts as lost unless it was renewed. */
  validUntilMs: number
}

/**
 * The leases of this process on its processors, prolonged together by one statement a heartbeat. A process that is paused, or that cannot reach
 * the database, finds out by its own clock that its time is over.
 */
export class LeaseKeeper {
  readonly owner: string
  readonly ttlMs: number
  readonly #store: EventStore
  readonly #held = new Map<string, Held>()
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined

  constructor(
    store: EventStore,
    { ttlMs = 5_000, owner = `${process.pid}-${uuidv7()}` }: { readonly ttlMs?: number; readonly owner?: string } = {},
  ) {
    this.#store = store
    this.ttlMs = ttlMs
    this.owner = owner
  }

  start(): void {
    this.#running = this.#beat()
  }

  /** Gives all leases back. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
    const processors = [...this.#held.keys()]
    for (const { controller } of this.#held.values()) controller.abort()
    this.#held.clear()
    if (processors.length > 0) await this.#store.driver.processors.release({ owner: this.owner, processors })
  }

  /**
   * The lease on the processor, or how long to wait before asking again, because somebody else has it. With `takesOver` it is taken from whoever has it, but for
   * who resets the processor at this moment, and is done soon.
   */
  async claim(
    processor: string,
    startAt: number,
    { takesOver = false }: { readonly takesOver?: boolean } = {},
  ): Promise<Lease | { readonly heldBy: string; readonly retryInMs: number }> {
    const askedMs = this.#store.environment.clock.now()
    const { processors } = this.#store.driver
    const request = { processor, owner: this.owner, ttlMs: this.ttlMs, startAt }
    let claim = await processors.claim(request)
    if (!claim.claimed && takesOver && !claim.owner.startsWith(resetter)) claim = await processors.claim({ ...request, takesOver })
    if (!claim.claimed) return { heldBy: claim.owner, retryInMs: Math.max(50, Math.min(claim.expiresInMs, this.ttlMs / 3, standbyMs)) }
    const controller = new AbortController()
    this.#held.get(processor)?.controller.abort()
    this.#held.set(processor, { epoch: claim.epoch, controller, validUntilMs: askedMs + this.ttlMs })
    const { epoch, position, state, abandoned } = claim
    return { processor, epoch, position, state, abandoned, lost: controller.signal }
  }

  /** Also when this process believes that the lease is lost: the store may have prolonged it since. */
  async release(lease: Lease): Promise<void> {
    const held = this.#held.get(lease.processor)
    if (held && held.epoch !== lease.epoch) return
    this.#drop(lease.processor)
    await this.#store.driver.processors.release({ owner: this.owner, processors: [lease.processor] })
  }

  async #beat(): Promise<void> {
    const { clock, log } = this.#store.environment
    while (!this.#stopping.signal.aborted) {
      await clock.sleep(this.ttlMs / 3, this.#stopping.signal)
      if (this.#held.size === 0 || this.#stopping.signal.aborted) continue
      const sentMs = clock.now()
      const held = [...this.#held].map(([processor, { epoch }]) => ({ processor, epoch }))
      try {
        const renewed = new Set(await this.#store.driver.processors.renew({ owner: this.owner, ttlMs: this.ttlMs, held }))
        for (const { processor, epoch } of held) {
          const lease = this.#held.get(processor)
          if (lease?.epoch !== epoch) continue
          if (renewed.has(processor)) lease.validUntilMs = sentMs + this.ttlMs
          else this.#drop(processor)
        }
      } catch (error) {
        log('warn', 'leases could not be renewed', { error: describeError(error) })
      }
      for (const [processor, { validUntilMs }] of this.#held) if (clock.now() >= validUntilMs) this.#drop(processor)
    }
  }

  #drop(processor: string): void {
    this.#held.get(processor)?.controller.abort()
    this.#held.delete(processor)
  }
}
