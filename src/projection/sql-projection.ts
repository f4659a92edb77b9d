import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyEvent, Recorded, RecordedEvent } from '../message/event.ts'
import type { OneOrMany } from '../processing/handler.ts'
import { many } from '../processing/handler.ts'
import type { Work, Worker } from '../processing/page-runner.ts'
import { decodeEvent } from '../schema/upcast.ts'
import { FencedError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { SqlTransaction } from '../storage/port.ts'

/** What SQL code gets: statements in the transaction that also moves the checkpoint. */
export type Sql = Pick<SqlTransaction, 'query'>

export interface SqlProjection<Name extends string = string> {
  readonly kind: 'sql-projection'
  readonly name: Name
  readonly version: number
  readonly on: readonly AnyEvent[]
  setUp(sql: Sql): Promise<unknown>
  tearDown(sql: Sql): Promise<unknown>
  apply(event: never, sql: Sql): Promise<unknown>
}

export interface SqlProjectionOptions<On extends AnyEvent> {
  readonly on: OneOrMany<On>
  /** Raise it when the tables must be filled anew: they are torn down, set up and filled from the beginning. Default: 1. */
  readonly version?: number
  /** Makes the tables; must bear that they are there. */
  readonly setUp: (sql: Sql) => Promise<unknown>
  /** Removes them, before they are filled anew. */
  readonly tearDown: (sql: Sql) => Promise<unknown>
}

/**
 * A read model in tables of your own, in the store's database and dialect. Each page of events is applied in one transaction with the checkpoint, so
 * that every event has its effect exactly once. A rebuild empties the tables first; where that must not be seen, use documents.
 */
export function defineSqlProjection<const Name extends string, On extends AnyEvent>(
  name: Name,
  options: SqlProjectionOptions<On>,
  apply: (event: Recorded<On>, sql: Sql) => Promise<unknown>,
): SqlProjection<Name> {
  const on = many(options.on)
  if (on.length === 0) throw new InvalidDefinitionError(`the projection ${name} is on no event`)
  return { kind: 'sql-projection', name, version: options.version ?? 1, on, setUp: options.setUp, tearDown: options.tearDown, apply }
}

export function sqlProcessorOf(projection: SqlProjection): string {
  return `sql-projection:${projection.name}@${projection.version}`
}

/** So many events at most share a transaction, which keeps its locks until the last one is applied. */
const eventsPerTransaction = 500

/** @throws InvalidDefinitionError when the store does not run SQL of users */
export function sqlWorker(projection: SqlProjection, store: EventStore): Worker {
  if (store.driver.capabilities.sql === false)
    throw new InvalidDefinitionError(
      `${projection.name} is a SQL projection, but the storage ${store.driver.capabilities.name} runs no SQL`,
    )
  const definitions = Object.fromEntries(projection.on.map((definition) => [definition.type, definition]))
  const processor = sqlProcessorOf(projection)
  return {
    types: Object.keys(definitions),
    async begin({ position }) {
      await store.driver.transaction(async (sql) => {
        if (position === 0) await projection.tearDown(sql)
        await projection.setUp(sql)
      })
    },
    async process(stored, { lease }): Promise<Work> {
      const failed: { event: RecordedEvent; error: unknown }[] = []
      const apply = async (events: readonly RecordedEvent[]): Promise<number> => {
        await store.driver.transaction(async (sql) => {
          for (const event of events) {
            try {
              await projection.apply(decodeEvent(definitions, event, `the projection ${projection.name}`) as never, sql)
            } catch (error) {
              failed.push({ event, error })
              throw error
            }
          }
          const position = events.at(-1)!.position
          if (!(await sql.moveCheckpoint({ processor, epoch: lease.epoch, position })))
            throw new FencedError(`${processor} has been taken over`)
        })
        return events.at(-1)!.position
      }
      const events = stored.slice(0, eventsPerTransaction)
      try {
        return { through: await apply(events), committed: true }
      } catch (error) {
        const failure = failed[0]
        if (!failure) throw error
        // What comes before the event that failed is applied again without it.
        const before = events.slice(0, events.indexOf(failure.event))
        return { through: before.length > 0 ? await apply(before) : undefined, committed: true, failure }
      }
    },
  }
}
