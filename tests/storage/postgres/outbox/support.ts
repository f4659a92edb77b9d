import type pg from 'pg'
import { onTestFinished } from 'vitest'
import type { RecordedEvent } from '../../../../src/message/event.ts'
import { silentLog } from '../../../../src/observability/log.ts'
import { LeaseKeeper } from '../../../../src/processing/lease-keeper.ts'
import type { SequencerOptions } from '../../../../src/processing/sequencer.ts'
import { Sequencer } from '../../../../src/processing/sequencer.ts'
import { EventStore } from '../../../../src/storage/event-store.ts'
import type { Staging } from '../../../../src/storage/port.ts'
import type { Outbox, PostgresPool, UserTransaction } from '../../../../src/storage/postgres/index.ts'
import { outbox, postgres } from '../../../../src/storage/postgres/index.ts'
import { connect, schemaFor } from '../support.ts'

/** A store, and users of the same database who publish into it. */
export interface Publishing {
  readonly url: string
  readonly schema: string
  readonly store: EventStore
  readonly staging: Staging
  /** A user's connection. */
  user(): Promise<pg.Client>
  outbox(transaction: UserTransaction): Outbox
  /** Runs a sequencer until the test ends, or until it is stopped. */
  sequence(options?: SequencerOptions): Sequencer
  /** The data of all events of the log, or of one stream. */
  log(stream?: string): Promise<readonly unknown[]>
}

/** The store is reached by `connection`, if that is to be another way than the users'. */
export async function publishing(url: string, connection: string | PostgresPool = url): Promise<Publishing> {
  const schema = schemaFor(url)
  const store = await EventStore.open(postgres(connection, { schema }), { log: silentLog })
  onTestFinished(() => store.close())
  const leases = new LeaseKeeper(store, { ttlMs: 1_000 })
  leases.start()
  onTestFinished(() => leases.stop())
  const { staging } = store.driver
  if (!staging) throw new Error('the driver has no outbox')
  return {
    url,
    schema,
    store,
    staging,
    user: () => connect(url),
    outbox: (transaction) => outbox(transaction, { schema }),
    sequence(options) {
      const sequencer = new Sequencer({ store, leases }, options)
      sequencer.start()
      onTestFinished(() => sequencer.stop())
      return sequencer
    },
    async log(stream) {
      const events = await wholeLog(store)
      return events.filter((event) => stream === undefined || event.stream === stream).map(({ data }) => data)
    },
  }
}

export async function wholeLog(store: EventStore): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for await (const event of store.readLog()) events.push(event)
  return events
}

/** An event of no definition, with this as its payload. */
export function happened(data: unknown, id?: string): { readonly type: string; readonly data: unknown; readonly id?: string } {
  return { type: 'Happened', data, ...(id !== undefined && { id }) }
}

/** Publishes one event in a transaction of its own. */
export async function publishAlone(
  { outbox: on }: Publishing,
  client: pg.Client,
  stream: string,
  data: unknown,
  id?: string,
): Promise<void> {
  await client.query('begin')
  await on(client).publish(happened(data, id), { stream })
  await client.query('commit')
}
