import type { Environment } from '../../observability/environment.ts'
import type { GroupQueue, Told } from './group-queue.ts'
import type { Held, HeldMessages } from './held.ts'
import { maxEntries } from './wire.ts'

/** Requests at the same time. */
const maxRequests = 8

/** Keeps what is held hidden from others: each message is hidden anew when a third of its time has gone, and looked at six times in it. */
export class Keeper {
  readonly #queue: GroupQueue
  readonly #messages: HeldMessages
  readonly #environment: Environment
  readonly #hiddenMs: number
  readonly #onLost: (message: Held) => void
  readonly #stopped = new AbortController()

  /** `onLost` is told of a message that is still being worked on and may be given to somebody else now. */
  constructor(
    queue: GroupQueue,
    messages: HeldMessages,
    environment: Environment,
    visibilityTimeoutSec: number,
    onLost: (message: Held) => void,
  ) {
    this.#queue = queue
    this.#messages = messages
    this.#environment = environment
    this.#hiddenMs = visibilityTimeoutSec * 1_000
    this.#onLost = onLost
  }

  async run(): Promise<void> {
    const { clock } = this.#environment
    for (;;) {
      await clock.sleep(this.#hiddenMs / 6, this.#stopped.signal)
      if (this.#stopped.signal.aborted) return
      await this.#keepHidden()
    }
  }

  stop(): void {
    this.#stopped.abort()
  }

  async #keepHidden(): Promise<void> {
    const nowMs = this.#environment.clock.now()
    const due = this.#messages.hiddenUntil(nowMs + (this.#hiddenMs * 2) / 3)
    const expired = due.find((held) => held.hiddenUntilMs <= nowMs && this.#messages.isHeld(held))
    if (expired) return this.#onLost(expired)

    for (let first = 0; first < due.length; first += maxRequests * maxEntries) {
      const row = due.slice(first, first + maxRequests * maxEntries)
      const requests = Array.from({ length: Math.ceil(row.length / maxEntries) }, (_, index) =>
        this.#queue.keepHidden(row.slice(index * maxEntries, (index + 1) * maxEntries)),
      )
      for (const told of await Promise.all(requests)) this.#note(told, nowMs)
    }
  }

  #note({ done, lost }: Told, askedAtMs: number): void {
    for (const held of done) held.hiddenUntilMs = askedAtMs + this.#hiddenMs
    // What was finished or released meanwhile is no loss.
    const mine = lost.find((held) => this.#messages.isHeld(held))
    if (mine) this.#onLost(mine)
  }
}
