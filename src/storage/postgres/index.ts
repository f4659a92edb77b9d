import type { Storage } from '../port.ts'
import { BorrowedDatabase } from './borrowed.ts'
import type { Database } from './database.ts'
import { PostgresDriver } from './driver.ts'
import { prepare } from './open.ts'
import { OwnedDatabase } from './owned.ts'
import type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult } from './pool.ts'
import { checkSchemaName, namesOf } from './schema.ts'

export { outbox } from './outbox/outbox.ts'
export type { Outbox, OutboxOptions, UserTransaction } from './outbox/outbox.ts'
export type { PostgresClient, PostgresPool, PostgresQuery, PostgresResult }

export interface PostgresOptions {
  /**
   * The schema in which the store's tables are, made where it is missing. Stores in different schemas know nothing of each other.
   * Default: `headwater`.
   */
  readonly schema?: string
  /**
   * Connections for everything but ordered commits and wake-ups, which have one each. Only for a connection string: a pool has its own size.
   * Default: 10.
   */
  readonly poolSize?: number
  /** Told, once, in a sentence, when something works less well than it could. Default: nobody is. */
  readonly onNotice?: (message: string) => void
}

/**
 * Storage in PostgreSQL 14 or newer, through the package `pg`.
 *
 * Given a connection string, the store makes its own connections. They must not go through a pooler in transaction mode; for that, and to
 * share a pool with the rest of the program, hand in a `pg.Pool`. Of such a pool nothing is assumed, neither its isolation level nor that
 * sessions last longer than a transaction; a single caller is about a sixth slower then. It is not ended when the store is closed, and one
 * of its connections is kept for wake-ups.
 */
export function postgres(connection: string | PostgresPool, options: PostgresOptions = {}): Storage {
  const { schema = 'headwater', poolSize = 10, onNotice = () => undefined } = options
  checkSchemaName(schema)
  const names = namesOf(schema)
  return {
    name: 'postgres',
    async open({ migrate }) {
      const database: Database =
        typeof connection === 'string' ? await OwnedDatabase.create(connection, poolSize) : new BorrowedDatabase(connection)
      try {
        await prepare(database, names, { migrate })
      } catch (error) {
        await database.close()
        throw error
      }
      return new PostgresDriver(database, names, onNotice)
    },
  }
}
