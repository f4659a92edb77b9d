import { DatabaseSync } from 'node:sqlite'
import type { SQLInputValue, StatementSync } from 'node:sqlite'

/** What can be bound to a placeholder. */
export type Value = SQLInputValue

/**
 * The limit that is bound to this placeholder. A bare `LIMIT ?` makes SQLite plan the statement again for each value, which takes up to twenty
 * times as long as a small read itself.
 */
export function limitTo(placeholder: string): string {
  return `LIMIT ${placeholder} + 0`
}

/** A prepared statement whose rows are arrays of columns; `Row` says of which types. */
export interface Statement<Row> {
  all(...values: readonly Value[]): Row[]
  get(...values: readonly Value[]): Row | undefined
  run(...values: readonly Value[]): { readonly changes: number | bigint }
}

/** One connection to the database. Everything on it happens synchronously, and none of it waits for a lock. */
export class Connection {
  readonly #database: DatabaseSync
  readonly #statements: StatementCache<Statement<unknown>>
  readonly #queries: StatementCache<StatementSync>
  readonly #begin: Statement<never>
  readonly #commit: Statement<never>
  readonly #rollback: Statement<never>

  constructor(path: string) {
    // A busy timeout would stop the event loop for as long as somebody else writes. `whenFree` waits instead.
    this.#database = new DatabaseSync(path, { timeout: 0 })
    this.#statements = new StatementCache((text) => this.prepare(text))
    this.#queries = new StatementCache((text) => this.#database.prepare(text))
    this.#begin = this.prepare('BEGIN IMMEDIATE')
    this.#commit = this.prepare('COMMIT')
    this.#rollback = this.prepare('ROLLBACK')
  }

  /** The file as SQLite knows it, symbolic links followed; null for a database in memory. */
  get file(): string | null {
    return this.#database.location()
  }

  get isInTransaction(): boolean {
    return this.#database.isTransaction
  }

  /** Rows as arrays: making an object with a name for each column of each row would cost a fifth of the reading speed. */
  prepare<Row>(text: string): Statement<Row> {
    const statement = this.#database.prepare(text)
    statement.setReturnArrays(true)
    return statement as unknown as Statement<Row>
  }

  /** As `prepare`, for texts that depend on what is asked for (a filter, a sort order): those used last stay prepared. */
  cached<Row>(text: string): Statement<Row> {
    return this.#statements.get(text) as Statement<Row>
  }

  /** Rows as objects, for SQL that is not ours. */
  query<Row>(text: string, values: readonly Value[]): Row[] {
    return this.#queries.get(text).all(...values) as unknown as Row[]
  }

  execute(script: string): void {
    this.#database.exec(script)
  }

  /** Takes the database's write lock, or throws SQLITE_BUSY at once. */
  begin(): void {
    this.#begin.run()
  }

  /** Returns when the transaction is flushed to disk. */
  commit(): void {
    this.#commit.run()
  }

  /** Does nothing where SQLite has rolled back by itself, as it does when the disk is full. */
  rollback(): void {
    if (this.isInTransaction) this.#rollback.run()
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close()
  }
}

const maxCachedStatements = 200

class StatementCache<Prepared> {
  readonly #prepare: (text: string) => Prepared
  /** Least recently used first. */
  readonly #byText = new Map<string, Prepared>()

  constructor(prepare: (text: string) => Prepared) {
    this.#prepare = prepare
  }

  get(text: string): Prepared {
    const statement = this.#byText.get(text) ?? this.#prepare(text)
    this.#byText.delete(text)
    this.#byText.set(text, statement)
    if (this.#byText.size > maxCachedStatements) {
      const [oldest] = this.#byText.keys()
      if (oldest !== undefined) this.#byText.delete(oldest)
    }
    return statement
  }
}
