import type { Inbox } from '../port.ts'
import type { MessageIdentity } from '../write-set.ts'
import type { Database, Statement } from './database.ts'
import { textArray } from './literal.ts'

/** Which messages consumers have finished. */
export class InboxTable implements Inbox {
  readonly #database: Database
  readonly #statements: ReturnType<typeof statementsOf>

  constructor(database: Database, schema: string) {
    this.#database = database
    this.#statements = statementsOf(schema)
  }

  async find(consumer: string, messages: readonly MessageIdentity[]): Promise<readonly MessageIdentity[]> {
    if (messages.length === 0) return []
    const ids = textArray(messages.map(({ id }) => id))
    const sources = textArray(messages.map(({ source }) => source))
    const rows = await this.#database.read(this.#statements.find, [consumer, ids, sources])
    return rows.map(([id, source]) => ({ id: id!, source: source! }))
  }

  async forget({ consumer, beforeMs, limit }: Parameters<Inbox['forget']>[0]): Promise<number> {
    const [row] = await this.#database.write(this.#statements.forget, [
      consumer,
      String(Math.min(beforeMs, Number.MAX_SAFE_INTEGER)),
      String(limit),
    ])
    return Number(row![0])
  }
}

function statementsOf(schema: string) {
  const inbox = `${schema}.inbox`
  return {
    // A subquery that is a single value is looked up by the index for each message, whatever the planner knows of the table.
    find: {
      name: 'headwater_find_in_inbox',
      text: `SELECT m.id, m.source FROM unnest($2::text[], $3::text[]) AS m (id, source)
        WHERE (SELECT true FROM ${inbox} i WHERE i.consumer = $1 AND i.id = m.id AND i.source = m.source)`,
    },
    forget: {
      name: 'headwater_forget_inbox',
      text: `WITH forgotten AS (
          DELETE FROM ${inbox} WHERE ctid = ANY (ARRAY(SELECT ctid FROM ${inbox} WHERE consumer = $1 AND time_ms < $2 LIMIT $3)) RETURNING 1
        ) SELECT count(*) FROM forgotten`,
    },
  } satisfies Record<string, Statement>
}
