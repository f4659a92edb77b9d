import { StoreClosedError } from '../errors.ts'
import type { Database, Listener, Session, Statement } from './database.ts'
import { withLiterals } from './literal.ts'
import { indexWalk, notify, writing } from './message.ts'
import type { PostgresClient, PostgresPool, Row, Value } from './pool.ts'
import { lastRows, plainRows } from './pool.ts'
import { inTransaction } from './session.ts'

/**
 * A pool that the program owns. It may be a transaction-mode pooler, or have been given defaults that would break our promises, so nothing is
 * prepared, no session state is relied on, and each message sets what it needs.
 */
export class BorrowedDatabase implements Database {
  readonly address: string = 'the database of the pool that was passed in'
  readonly storageOption: string = 'postgres://…'
  #pool: PostgresPool | undefined
  /** Resolves when the last ordered write is done, whatever became of it. */
  #lastOrdered: Promise<unknown> = Promise.resolve()

  constructor(pool: PostgresPool) {
    this.#pool = pool
    pool.on?.('error', ignore)
  }

  async read({ text, walksIndex }: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    if (walksIndex) return lastRows(await this.#open().query({ ...plainRows, text: indexWalk(text, values) }))
    const result = await this.#open().query({ ...plainRows, text, values: [...values] })
    return result.rows as Row[]
  }

  async write({ text, isDurable = false }: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    return lastRows(await this.#open().query({ ...plainRows, text: writing(text, values, { isDurable }) }))
  }

  async writeInOrder(statement: Statement, values: readonly Value[]): Promise<readonly Row[]> {
    const written = this.#lastOrdered.then(() => this.write(statement, values))
    this.#lastOrdered = written.catch(() => undefined)
    return written
  }

  async transaction<T>(work: (client: Session) => Promise<T>): Promise<T> {
    return inTransaction(this.#open(), work)
  }

  async notify(channel: string, payload: string): Promise<void> {
    await this.#open().query({ text: withLiterals(notify.text, [channel, payload]) })
  }

  /** A client of the pool, kept until it ends. A pool of one has none that could be kept. */
  async connectListener(): Promise<Listener | undefined> {
    const pool = this.#open()
    if (pool.options?.max !== undefined && pool.options.max < 2) return undefined
    return new PooledListener(await pool.connect())
  }

  /** The pool is not ours to end. */
  async close(): Promise<void> {
    this.#pool?.removeListener?.('error', ignore)
    this.#pool = undefined
    await this.#lastOrdered
  }

  #open(): PostgresPool {
    if (!this.#pool) throw new StoreClosedError()
    return this.#pool
  }
}

/** The pool itself drops an idle connection that breaks; if nobody listened, the error would end the process. */
function ignore(): void {}

class PooledListener implements Listener {
  readonly #client: PostgresClient
  #ended = false
  #whenEnded: () => void = () => undefined

  constructor(client: PostgresClient) {
    this.#client = client
    client.on?.('error', () => this.end())
    client.on?.('end', () => this.end())
  }

  query: Listener['query'] = (query) => this.#client.query(query)

  onNotification: Listener['onNotification'] = (listener) => void this.#client.on?.('notification', listener)

  onEnd(listener: () => void): void {
    this.#whenEnded = listener
  }

  /** Closes the connection: who gets a client from the pool must not inherit what it listens to. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#client.release(true)
    this.#whenEnded()
  }
}
