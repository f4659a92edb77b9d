import type { Inbox } from '../port.ts'
import type { InboxEntries, MessageIdentity } from '../write-set.ts'
import type { Connection } from './connection.ts'
import { limitTo } from './connection.ts'
import type { Database } from './database.ts'

/** Which messages consumers have finished. */
export class InboxTable implements Inbox {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  find(consumer: string, messages: readonly MessageIdentity[]): Promise<readonly MessageIdentity[]> {
    return this.#database.read(() => messages.filter((message) => isInInbox(this.#database.reader, consumer, message)))
  }

  forget({ consumer, beforeMs, limit }: Parameters<Inbox['forget']>[0]): Promise<number> {
    return this.#database.write(() => {
      const remove = this.#database.writer.cached(
        `DELETE FROM headwater_inbox WHERE number IN
           (SELECT number FROM headwater_inbox WHERE consumer = ? AND time_ms < ? ORDER BY time_ms ${limitTo('?')})`,
      )
      return Number(remove.run(consumer, Math.min(beforeMs, Number.MAX_SAFE_INTEGER), limit).changes)
    })
  }
}

/** Whether one of the messages is there, inside a transaction. */
export function isAnyInInbox(connection: Connection, { consumer, messages }: InboxEntries): boolean {
  return messages.some((message) => isInInbox(connection, consumer, message))
}

/** Makes the entries inside a transaction, after `isAnyInInbox` was asked. */
export function putIntoInbox(connection: Connection, { consumer, messages }: InboxEntries, nowMs: number): void {
  const insert = connection.cached('INSERT INTO headwater_inbox (consumer, id, source, time_ms) VALUES (?, ?, ?, ?)')
  for (const { id, source } of messages) insert.run(consumer, id, source, nowMs)
}

function isInInbox(connection: Connection, consumer: string, { id, source }: MessageIdentity): boolean {
  return (
    connection.cached('SELECT 1 FROM headwater_inbox WHERE consumer = ? AND id = ? AND source = ?').get(consumer, id, source) !== undefined
  )
}
