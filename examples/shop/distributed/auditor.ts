import { setTimeout as delay } from 'node:timers/promises'
import type { EventStore } from 'headwater'
import { patienceMs, StandstillError } from '../demo/batch.ts'
import type { Listener } from '../demo/books.ts'
import { checkHearing } from '../demo/books.ts'
import type { Account } from '../demo/ledger.ts'
import { Ledger } from '../demo/ledger.ts'
import { checkAccounts } from '../demo/order-books.ts'

/** How orders stand, as the logs of all services have it. */
export interface Tally {
  readonly placed: number
  readonly shipped: number
  readonly cancelled: number
  readonly paid: number
  /** Confirmed, and payments has not said yet what became of it. */
  readonly backlog: number
}

const lookEveryMs = 100

/** Reads the logs of all services while they run, from outside and without asking them anything. */
export class Auditor {
  readonly #ledger: Ledger
  readonly #listeners: readonly Listener[]
  #looking: Promise<void> = Promise.resolve()
  #latest: Tally = { placed: 0, shipped: 0, cancelled: 0, paid: 0, backlog: 0 }

  constructor(stores: readonly EventStore[], listeners: readonly Listener[]) {
    this.#ledger = new Ledger(stores)
    this.#listeners = listeners
  }

  /** As of the last time that somebody asked. */
  get latest(): Tally {
    return this.#latest
  }

  async tally(): Promise<Tally> {
    await this.#look()
    const accounts = [...this.#ledger.accounts.values()]
    const number = (is: (account: Account) => boolean): number => accounts.filter(is).length
    this.#latest = {
      placed: number(({ outcome }) => outcome !== 'unknown'),
      shipped: number(({ outcome }) => outcome === 'shipped'),
      cancelled: number(({ outcome }) => outcome === 'cancelled'),
      paid: number(({ charges }) => charges > 0),
      backlog: number(({ confirmed, bankAnswers }) => confirmed && bankAnswers === 0),
    }
    return this.#latest
  }

  /**
   * Resolves when `isReady`, every order has come to its end in the logs of all services, and whoever listens has heard of it.
   * @throws StandstillError when no event has come for a minute
   */
  async settle(isReady: () => boolean, signal: AbortSignal): Promise<void> {
    let last = { events: -1, ms: performance.now() }
    while (!signal.aborted) {
      const tally = await this.tally()
      const entries = () => [...checkAccounts(this.#ledger), checkHearing(this.#ledger, this.#listeners)]
      const isOver = isReady() && tally.shipped + tally.cancelled === tally.placed
      const wrong = isOver
        ? entries().flatMap((entry) => entry.wrong)
        : [`${tally.placed - tally.shipped - tally.cancelled} orders are open`]
      if (isOver && wrong.length === 0) return
      const { events } = this.#ledger
      if (events > last.events) last = { events, ms: performance.now() }
      if (performance.now() - last.ms > patienceMs)
        throw new StandstillError(
          `nothing has happened for ${patienceMs / 1_000} seconds, and not all is done: ${wrong.slice(0, 3).join('; ')}`,
        )
      await delay(lookEveryMs, undefined, { signal }).catch(() => undefined)
    }
  }

  /** One look at a time, since each goes on where the last one ended. */
  #look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#ledger.catchUp())
    return this.#looking
  }
}
