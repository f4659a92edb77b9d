import type { PostgresClient, PostgresNotification, PostgresQuery, Row, Value } from './pool.ts'

/** One statement. With a name, and on connections of our own, it is prepared once a connection. */
export interface Statement {
  readonly name?: string
  readonly text: string
  /** It sees to it by itself that its transaction is flushed to disk. */
  readonly isDurable?: boolean
  /** Meant to be answered by walking an index in order, also while the planner has no statistics to tell it that this is the best way. */
  readonly walksIndex?: boolean
}

/**
 * The ways in which the store talks to PostgreSQL. Through connections of its own it prepares statements and relies on session settings; a
 * pool that was handed in may hide a transaction-mode pooler and settings of any kind, so there each message carries what it depends on.
 */
export interface Database {
  /** Where it is, for messages; without the password. */
  readonly address: string
  /** What to give to `headwater --storage`; without the password too. */
  readonly storageOption: string
  /** One statement that reads. */
  read(statement: Statement, values: readonly Value[]): Promise<readonly Row[]>
  /** One statement as a transaction of its own: read committed, and flushed to disk when it resolves. */
  write(statement: Statement, values: readonly Value[]): Promise<readonly Row[]>
  /** The same; such calls are carried out one after another, in the order in which they were made. */
  writeInOrder(statement: Statement, values: readonly Value[]): Promise<readonly Row[]>
  /** Several statements, under the same rules. Commits when `work` resolves, else rolls back. */
  transaction<T>(work: (client: Session) => Promise<T>): Promise<T>
  /** A NOTIFY that nobody waits for and that need not survive a crash. */
  notify(channel: string, payload: string): Promise<void>
  /** A connection for nothing but LISTEN; undefined where none can be spared. */
  connectListener(): Promise<Listener | undefined>
  close(): Promise<void>
}

/** The client of a transaction, without the right to give it back. */
export type Session = Pick<PostgresClient, 'query'>

export interface Listener {
  query(query: PostgresQuery): Promise<unknown>
  onNotification(listener: (notification: PostgresNotification) => void): void
  /** At most once, also when nobody asked for it to end. */
  onEnd(listener: () => void): void
  end(): void
}
