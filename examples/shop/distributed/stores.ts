import { join } from 'node:path'
import { EventStore } from 'headwater'
import { openStorage } from '../demo/storage.ts'
import { UsageError } from '../usage-error.ts'
import type { ServiceName } from './services.ts'
import { serviceNames } from './services.ts'

export interface Stores {
  /** The database that gets a schema for each service; undefined: each has an SQLite file in `directory`. */
  readonly postgres: string | undefined
  /** Of the stores on SQLite, and of the bank's ledger. */
  readonly directory: string
}

/** The name of the store that a service has to itself: a schema, or a file. */
export function storageOf(service: ServiceName, { postgres, directory }: Stores): string {
  if (postgres === undefined) return `sqlite:${directory}/${service}.db`
  if (!URL.canParse(postgres)) throw new UsageError('--postgres takes postgres://user:password@host/database[?schema=PREFIX]')
  const url = new URL(postgres)
  url.searchParams.set('schema', `${url.searchParams.get('schema') ?? 'shop'}_${service}`)
  return url.href
}

/** Opens the stores of all services, makes those that are missing. */
export async function openStores(options: Stores): Promise<readonly EventStore[]> {
  const stores: EventStore[] = []
  for (const source of serviceNames) {
    const storage = await openStorage(storageOf(source, options), options.postgres === undefined ? '--data' : '--postgres')
    stores.push(await EventStore.open(storage, { source }))
  }
  return stores
}

/** Where the bank keeps its ledger, which is none of the shop's. */
export function bankPathOf({ directory }: Stores): string {
  return join(directory, 'bank.db')
}
