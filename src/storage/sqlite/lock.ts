import { setTimeout as delay } from 'node:timers/promises'
import { StorageError, StoreClosedError, StoreUnavailableError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { isBusy } from './errors.ts'

// A failed try costs some microseconds, while a process that commits without pause leaves small gaps only: with pauses of up to 20 ms the
// unlucky one of several such processes waited up to half a second, with these seldom more than a tenth of one.
const maxPauseMs = 5

/** Tries until the database is not locked by another process, with short random pauses in which the event loop goes on. */
export async function whenFree<T>(attempt: () => T | Promise<T>, waitMs: number): Promise<T> {
  const deadlineMs = performance.now() + waitMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!isBusy(error)) throw error
      if (performance.now() >= deadlineMs)
        throw new StoreUnavailableError(`the database was locked by another process for ${waitMs} ms`, { cause: error })
    }
    await delay(Math.random() * maxPauseMs)
  }
}

interface Turn {
  readonly take: () => void
  readonly refuse: (error: Error) => void
}

/**
 * The right to write. SQLite has one writer at a time: within the process callers take turns, in order; against other processes
 * `BEGIN IMMEDIATE` is tried until it succeeds.
 */
export class WriteLock {
  readonly #waitMs: number
  readonly #queue = new Set<Turn>()
  #held = false
  #closed = false
  #whenReleased: (() => void) | undefined

  constructor(waitMs: number) {
    this.#waitMs = waitMs
  }

  /**
   * Runs `work` in a transaction that holds the write lock from its beginning, and resolves when it is flushed. Whatever `work` throws
   * rolls it back. Nobody else in the process writes meanwhile, also while an asynchronous `work` waits for something.
   * @throws StoreUnavailableError when the lock was not to be had in time, StoreClosedError
   */
  async transact<T>(connection: Connection, work: () => T | Promise<T>): Promise<T> {
    await this.#acquire()
    try {
      await whenFree(() => this.#begin(connection), this.#waitMs)
      try {
        const result = work()
        const value = result instanceof Promise ? await result : result
        if (!connection.isInTransaction) throw new StorageError('the transaction was ended by SQL inside it: leave out COMMIT and ROLLBACK')
        connection.commit()
        return value
      } catch (error) {
        connection.rollback()
        throw error
      }
    } finally {
      this.#release()
    }
  }

  /** Lets whoever writes now come to an end, and refuses all others. */
  async close(): Promise<void> {
    this.#closed = true
    for (const turn of this.#queue) turn.refuse(new StoreClosedError())
    this.#queue.clear()
    if (this.#held) await new Promise<void>((resolve) => (this.#whenReleased = resolve))
  }

  #begin(connection: Connection): void {
    if (this.#closed) throw new StoreClosedError()
    connection.begin()
  }

  async #acquire(): Promise<void> {
    if (this.#closed) throw new StoreClosedError()
    if (!this.#held) {
      this.#held = true
      return
    }
    await new Promise<void>((resolve, reject) => {
      const refuse = (error: Error) => {
        clearTimeout(timer)
        this.#queue.delete(turn)
        reject(error)
      }
      const take = () => {
        clearTimeout(timer)
        resolve()
      }
      const turn: Turn = { take, refuse }
      const timer = setTimeout(
        () => refuse(new StoreUnavailableError(`other writers of this process held the database for ${this.#waitMs} ms`)),
        this.#waitMs,
      )
      this.#queue.add(turn)
    })
  }

  /** Hands the lock to whoever has waited longest. */
  #release(): void {
    const [next] = this.#queue
    if (next) {
      this.#queue.delete(next)
      next.take()
    } else {
      this.#held = false
      this.#whenReleased?.()
    }
  }
}
