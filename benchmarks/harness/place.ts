import pg from 'pg'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Storage } from '../../src/storage/port.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { silentLog } from '../../src/observability/log.ts'

export type StoreName = 'sqlite' | 'postgres'

/** Where a store is, as plain data that can be sent to another process. */
export type Place = { readonly store: 'sqlite'; readonly path: string } | { readonly store: 'postgres'; readonly url: string }

export function storageAt(place: Place): Storage {
  return place.store === 'sqlite' ? sqlite(place.path) : postgres(place.url)
}

export function openStore(place: Place): Promise<EventStore> {
  return EventStore.open(storageAt(place), { source: 'benchmark', log: silentLog })
}

/** One statement on a connection of its own: for what is no part of a measurement. */
export async function onPostgres<Row>(url: string, text: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const result = await client.query<Row & pg.QueryResultRow>(text, [...values])
    return result.rows
  } finally {
    await client.end()
  }
}
