import { setImmediate as nextTurn } from 'node:timers/promises'
import { StoreClosedError } from '../errors.ts'
import type { Connection } from './connection.ts'
import { translate } from './errors.ts'
import { WriteLock, whenFree } from './lock.ts'

export interface DatabaseParts {
  /** The path as the user gave it, for messages. */
  readonly path: string
  readonly reader: Connection
  readonly writer: Connection
  readonly userWriter: Connection
  /** How long to try for a lock before giving up. */
  readonly lockTimeoutMs: number
}

// How long work may go on before timers and sockets get their turn.
const maxTurnMs = 5

/**
 * The connections to one database, and who may use them when: one for reading, so that readers see what is committed and nothing else; one
 * for our own writing; one for transactions of user code. A database in memory has one connection for everything, so there a reader sees
 * what an open transaction of user code has written.
 */
export class Database {
  readonly path: string
  readonly reader: Connection
  readonly writer: Connection
  readonly #userWriter: Connection
  readonly #lockTimeoutMs: number
  readonly #lock: WriteLock
  #turnBeganMs = 0
  #closed = false

  constructor({ path, reader, writer, userWriter, lockTimeoutMs }: DatabaseParts) {
    this.path = path
    this.reader = reader
    this.writer = writer
    this.#userWriter = userWriter
    this.#lockTimeoutMs = lockTimeoutMs
    this.#lock = new WriteLock(lockTimeoutMs)
  }

  /** Runs `work`, which only reads from `reader`; again while the database is locked, as another process may recover it after a crash. */
  read<T>(work: () => T | Promise<T>): Promise<T> {
    return this.#translating(() => whenFree(work, this.#lockTimeoutMs))
  }

  /** Runs `work` on `writer` in a transaction that holds the write lock. Resolves when it is flushed to disk. */
  write<T>(work: () => T): Promise<T> {
    return this.#translating(() => this.#lock.transact(this.writer, work))
  }

  /** The same for user code, which may be asynchronous, on a connection of its own. What `work` throws is passed on as it is. */
  async transact<T>(work: (connection: Connection) => Promise<T>): Promise<T> {
    await this.#giveWay()
    return this.#lock.transact(this.#userWriter, () => work(this.#userWriter))
  }

  /** Waits for whoever writes now, and disconnects. The last of all processes to do so brings the write-ahead log into the database. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#lock.close()
    for (const connection of [this.#userWriter, this.reader, this.writer]) connection.close()
  }

  /**
   * What happens synchronously resolves at once, so a caller who does nothing but await one page after the other would never let the event
   * loop go on; it gets its turn here.
   */
  async #giveWay(): Promise<void> {
    if (performance.now() - this.#turnBeganMs > maxTurnMs) {
      await nextTurn()
      this.#turnBeganMs = performance.now()
    }
    if (this.#closed) throw new StoreClosedError()
  }

  async #translating<T>(work: () => Promise<T>): Promise<T> {
    await this.#giveWay()
    try {
      return await work()
    } catch (error) {
      // A read in several steps meets closed connections.
      throw this.#closed ? new StoreClosedError() : translate(error, this.path)
    }
  }
}
