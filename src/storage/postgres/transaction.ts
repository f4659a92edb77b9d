import { StorageError } from '../errors.ts'
import type { SqlTransaction } from '../port.ts'
import type { CheckpointMove } from '../write-set.ts'
import type { Database, Session } from './database.ts'
import type { Processors } from './processors.ts'

/** The transaction that code with SQL of its own gets. It takes no lock of the log; the checkpoint's row is locked by its last statement. */
export async function sqlTransaction<T>(
  database: Database,
  processors: Processors,
  work: (transaction: SqlTransaction) => Promise<T>,
): Promise<T> {
  return database.transaction(async (session) => {
    const transaction = new OpenTransaction(session, processors)
    try {
      return await work(transaction)
    } finally {
      transaction.end()
    }
  })
}

class OpenTransaction implements SqlTransaction {
  readonly #session: Session
  readonly #processors: Processors
  #ended = false

  constructor(session: Session, processors: Processors) {
    this.#session = session
    this.#processors = processors
  }

  async query<Row>(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Row[] }> {
    const result = await this.#open().query(values === undefined ? { text } : { text, values: [...values] })
    // A text with several statements has as many results.
    return Array.isArray(result) ? result.at(-1) : result
  }

  async moveCheckpoint(move: CheckpointMove): Promise<boolean> {
    return this.#processors.moveCheckpoint(this.#open(), move)
  }

  /** A statement that is sent later would run on a connection that somebody else has by then. */
  end(): void {
    this.#ended = true
  }

  #open(): Session {
    if (this.#ended) throw new StorageError('the transaction has ended: whatever belongs to it must be awaited in it')
    return this.#session
  }
}
