import { InvalidDefinitionError } from '../../../message/errors.ts'
import type { NewEvent } from '../../../message/event.ts'
import { checkName, defaultLimits, encodeEvent } from '../../encode.ts'
import { InvalidEventError, UnsupportedStoreError } from '../../errors.ts'
import type { EncodedEvent } from '../../write-set.ts'
import { codeOf } from '../errors.ts'
import { identifier } from '../literal.ts'
import { checkSchemaName } from '../schema.ts'

/**
 * What sends a statement within your transaction: a client of `pg` between BEGIN and COMMIT, or a line around that of any other library. The
 * text has one placeholder, `$1`, and its value is a string.
 */
export interface UserTransaction {
  query(text: string, values: string[]): Promise<unknown>
}

export interface OutboxOptions {
  /** The schema of the store whose log the events go to. Default: `headwater`. */
  readonly schema?: string
  /** The `source` of events that name none: give it the name of the service. Default: `headwater`. */
  readonly source?: string
}

export interface Outbox {
  /**
   * Has the events published if, and only if, the transaction commits. They come into the log, in the order given, some milliseconds after that,
   * and once; events of transactions of which one waited for a lock of the other come in the order of their commits. Returns the events' ids.
   *
   * @throws InvalidEventError before anything is sent; UnsupportedStoreError when the store is not there or the role may not use it. Other
   * errors of the database come as they are, so that what repeats your transaction recognises them. After an error of the database, the
   * transaction can only be rolled back.
   */
  publish(events: NewEvent | readonly NewEvent[], options: { readonly stream: string }): Promise<readonly string[]>
}

/**
 * The outbox: publishes events from within a transaction of your own, together with what it changes in your tables.
 *
 * ```ts
 * await client.query('BEGIN')
 * await client.query('INSERT INTO orders …')
 * await outbox(client).publish(OrderPlaced({ orderId, total }), { stream: `order:${orderId}` })
 * await client.query('COMMIT')
 * ```
 *
 * It only inserts rows, with one statement a call, so that it takes no lock that another transaction waits for, under every isolation level, also
 * through a pooler in transaction mode. A service that runs on the store moves them into the log. A transaction that stays open holds up its
 * own events and no others.
 *
 * The role needs two rights, and may be another than that of the store:
 *
 * ```sql
 * GRANT USAGE ON SCHEMA headwater TO app;
 * GRANT EXECUTE ON FUNCTION headwater.stage(text) TO app;
 * ```
 *
 * An event's place is decided when your deferred constraints are checked: at COMMIT, unless you say `SET CONSTRAINTS ALL IMMEDIATE`, after which
 * it is that of the call, and says nothing about locks that are taken later.
 */
export function outbox(transaction: UserTransaction, options: OutboxOptions = {}): Outbox {
  const { schema = 'headwater', source = 'headwater' } = options
  checkSchemaName(schema)
  checkName(source, 'source', defaultLimits)
  if (isPool(transaction))
    throw new InvalidDefinitionError(
      'outbox(…) was given a pool, each statement of which is a transaction of its own: give it the client on which you said BEGIN',
    )
  const quoted = identifier(schema)
  return {
    async publish(events, { stream }) {
      const given = isArray(events) ? events : [events]
      checkName(stream, 'stream', defaultLimits)
      if (given.length > defaultLimits.maxEventsPerAppend)
        throw new InvalidEventError(`${given.length} events in one call, at most ${defaultLimits.maxEventsPerAppend} are allowed`)
      const nowMs = Date.now()
      const encoded = given.map((event) => encodeEvent(event, { source, nowMs }, defaultLimits))
      checkIds(encoded)
      if (encoded.length > 0) {
        const text = `[${encoded.map((event) => stagedJson(stream, event)).join(',')}]`
        try {
          await transaction.query(`SELECT ${quoted}.stage($1)`, [text])
        } catch (error) {
          throw explain(error, quoted)
        }
      }
      return encoded.map(({ id }) => id)
    },
  }
}

/** The payload is put in as it is, so that it comes into the log to the byte as an append would write it. */
function stagedJson(stream: string, { data, metadata, tags, ...rest }: EncodedEvent): string {
  const plain = JSON.stringify({ stream, ...rest, tags: tags.length > 0 ? tags : null })
  return `${plain.slice(0, -1)},"metadata":${metadata ?? 'null'},"data":${data}}`
}

function checkIds(events: readonly EncodedEvent[]): void {
  const ids = new Set<string>()
  for (const { id, source } of events) {
    if (ids.has(`${id}\n${source}`)) throw new InvalidEventError(`the event id ${id} stands twice in one call`)
    ids.add(`${id}\n${source}`)
  }
}

/** What a role without rights, and a store that is not there, look like. */
const unusable: Readonly<Record<string, string>> = {
  '42501': 'this role may not publish',
  '42883': 'there is no store that could take events',
  '3F000': 'there is no store',
}

function explain(error: unknown, schema: string): unknown {
  const reason = unusable[codeOf(error) ?? ''] ?? (error instanceof Error ? unusable[codeOf(error.cause) ?? ''] : undefined)
  if (reason === undefined) return error
  return new UnsupportedStoreError(
    `${reason} in the schema ${schema}: let its owner run  headwater migrate , and  GRANT USAGE ON SCHEMA ${schema}  and  ` +
      `GRANT EXECUTE ON FUNCTION ${schema}.stage(text)  to the role of your transaction`,
    { cause: error },
  )
}

function isPool(transaction: object): boolean {
  return 'totalCount' in transaction && 'idleCount' in transaction
}

function isArray(events: NewEvent | readonly NewEvent[]): events is readonly NewEvent[] {
  return Array.isArray(events)
}
