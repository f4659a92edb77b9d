import { FencedError, StorageError } from '../errors.ts'
import type { SqlTransaction } from '../port.ts'
import type { CheckpointMove } from '../write-set.ts'
import type { Connection, Value } from './connection.ts'
import type { Database } from './database.ts'
import { fencedBy, moveCheckpoint } from './processors.ts'

/** Runs user code with SQL of its own. It holds SQLite's one write lock from beginning to end, so it should not dawdle. */
export function runTransaction<T>(database: Database, work: (transaction: SqlTransaction) => Promise<T>): Promise<T> {
  return database.transact(async (connection) => {
    const transaction = new Transaction(connection)
    try {
      const result = await work(transaction)
      transaction.assertOwned()
      return result
    } finally {
      transaction.end()
    }
  })
}

class Transaction implements SqlTransaction {
  readonly #connection: Connection
  #fenced: string | undefined
  #ended = false

  constructor(connection: Connection) {
    this.#connection = connection
  }

  async query<Row = Record<string, unknown>>(text: string, values: readonly unknown[] = []): Promise<{ readonly rows: readonly Row[] }> {
    this.#assertOpen()
    return { rows: this.#connection.query<Row>(text, values.map(toValue)) }
  }

  async moveCheckpoint(move: CheckpointMove): Promise<boolean> {
    this.#assertOpen()
    if (fencedBy(this.#connection, move) !== undefined) {
      this.#fenced = move.processor
      return false
    }
    moveCheckpoint(this.#connection, move, Date.now())
    return true
  }

  /** Whoever overlooks that the processor was taken over must not commit either. */
  assertOwned(): void {
    if (this.#fenced !== undefined) throw new FencedError(`${this.#fenced} has been taken over`)
  }

  end(): void {
    this.#ended = true
  }

  // A query that nobody awaited would run on after the commit, outside of any transaction or in somebody else's.
  #assertOpen(): void {
    if (this.#ended) throw new StorageError('the transaction is over: await every query inside it')
  }
}

function toValue(value: unknown, index: number): Value {
  if (value === undefined || value === null) return null
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint' || value instanceof Uint8Array) return value
  throw new StorageError(
    `SQLite cannot store value ${index + 1}, which is ${Object.prototype.toString.call(value)}: give a text or a number`,
  )
}
