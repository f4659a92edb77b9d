/**
 * What Headwater needs of `pg`, as a structure: a `pg.Pool` fits, and so does whatever wraps one. Nothing here imports `pg`, so that programs
 * on another storage need not install it.
 */
export interface PostgresPool {
  connect(): Promise<PostgresClient>
  query(query: PostgresQuery): Promise<PostgresResult>
  on?(event: 'error', listener: (error: Error) => void): unknown
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
  readonly options?: { readonly max?: number | undefined }
}

export interface PostgresClient {
  /** A text with several statements and without values resolves to one result a statement. */
  query(query: PostgresQuery): Promise<PostgresResult>
  /** With true, the connection is closed instead of going back to the pool. */
  release(destroy?: boolean): void
  on?: {
    (event: 'error', listener: (error: Error) => void): unknown
    (event: 'end', listener: () => void): unknown
    (event: 'notification', listener: (notification: PostgresNotification) => void): unknown
  }
  removeListener?(event: 'error', listener: (error: Error) => void): unknown
}

export interface PostgresNotification {
  readonly channel: string
  readonly payload?: string | undefined
}

export interface PostgresQuery {
  readonly text: string
  readonly values?: unknown[]
  /** Prepared under this name, once a connection. */
  readonly name?: string
  readonly rowMode?: 'array'
  readonly types?: { getTypeParser(): (value: string) => unknown }
}

export interface PostgresResult {
  // oxlint-disable-next-line typescript/no-explicit-any -- pg says so; only the text of the query knows what the rows are
  readonly rows: any[]
  readonly command: string
}

/** A value as PostgreSQL reads and writes it. */
export type Value = string | null
export type Row = readonly Value[]

const asTheyAre = { getTypeParser: () => (value: string) => value }

/** Rows as arrays of texts. Reading them ourselves is twice as fast as pg's parsers, and independent of parsers that a program has replaced. */
export const plainRows: Pick<PostgresQuery, 'rowMode' | 'types'> & { readonly rowMode: 'array' } = { rowMode: 'array', types: asTheyAre }

/** The rows of the last statement of a message that had several. */
export function lastRows(results: unknown): readonly Row[] {
  return (results as readonly { readonly rows: readonly Row[] }[]).at(-1)!.rows
}
