import { describeError } from '../observability/log.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { DeadLetters } from './dead-letters.ts'
import type { OperatorAction } from './operator-action.ts'

/** Whoever runs processors here, and does what is asked for of them. */
export interface ActionTaker {
  /** Does what is asked for if the processor runs here; nothing when it has been told before, and is at it. */
  take(action: OperatorAction): void
}

const lookEveryMs = 500

/**
 * Looks, once for all processors of this process, what operators ask for, and hands it to whoever runs the processor here; again until it is done, since a
 * run may end before it comes to it.
 */
export class ActionWatcher {
  readonly #letters: DeadLetters
  readonly #store: EventStore
  readonly #takers: () => Iterable<ActionTaker>
  readonly #stopping = new AbortController()
  #running: Promise<void> | undefined

  constructor(letters: DeadLetters, store: EventStore, takers: () => Iterable<ActionTaker>) {
    this.#letters = letters
    this.#store = store
    this.#takers = takers
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#store.environment
    while (!this.#stopping.signal.aborted) {
      await clock.sleep(lookEveryMs, this.#stopping.signal)
      if (this.#stopping.signal.aborted) return
      await this.#look().catch((error: unknown) => log('warn', 'what operators ask for could not be read', { error: describeError(error) }))
    }
  }

  async #look(): Promise<void> {
    for (const action of await this.#letters.requested()) for (const taker of this.#takers()) taker.take(action)
  }
}
