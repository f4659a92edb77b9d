import { HeadwaterError } from '../message/errors.ts'
import { silentLog, standardErrorLog } from '../observability/log.ts'
import { StoreUnavailableError } from '../storage/errors.ts'
import { EventStore } from '../storage/event-store.ts'
import type { Storage, StorageDriver } from '../storage/port.ts'
import { loadApp } from './app-module.ts'
import type { GlobalOptions } from './command.ts'
import { UsageError } from './exit-codes.ts'

/** Runs `work` on the store that the command line names, and closes it. Whether to make or migrate its schema is said, never assumed. */
export async function withStore<T>(
  options: GlobalOptions,
  { migrate }: { readonly migrate: boolean },
  work: (store: EventStore) => Promise<T>,
): Promise<T> {
  const storage = await resolveStorage(options)
  const store = await EventStore.open(storage, { migrate, log: options.verbose ? standardErrorLog : silentLog })
  try {
    return await work(store)
  } catch (error) {
    throw asStoreError(error, store.driver)
  } finally {
    await store.close()
  }
}

/** Drivers reject with whatever their clients throw; what is the database's fault must lead to the exit code for that. */
export function asStoreError(error: unknown, driver: StorageDriver): unknown {
  if (error instanceof HeadwaterError || !driver.isTransient(error)) return error
  return new StoreUnavailableError(`the ${driver.capabilities.name} store does not answer: ${messageOf(error)}`, { cause: error })
}

/** From `--storage`, HEADWATER_STORAGE or the app's module, in this order. */
export async function resolveStorage(options: GlobalOptions): Promise<Storage> {
  const storage = options.storage === undefined ? (await loadApp(options))?.storage : await parseStorage(options.storage)
  if (!storage)
    throw new UsageError(
      'which store? Say --storage sqlite:PATH or --storage postgres://…, set HEADWATER_STORAGE, or export `storage` from headwater.config.ts',
    )
  return { name: storage.name, open: (given) => openOrExplain(storage, given) }
}

async function openOrExplain(storage: Storage, options: { readonly migrate: boolean }): Promise<StorageDriver> {
  try {
    return await storage.open(options)
  } catch (error) {
    if (error instanceof HeadwaterError) throw error
    throw new StoreUnavailableError(`cannot open ${storage.name}: ${messageOf(error)}`, { cause: error })
  }
}

/** An adapter is loaded when it is asked for: a program without PostgreSQL needs no `pg`. */
async function parseStorage(text: string): Promise<Storage> {
  if (/^sqlite:./.test(text)) {
    const { sqlite } = await import('../storage/sqlite/index.ts')
    return sqlite(text.slice('sqlite:'.length))
  }
  if (/^postgres(ql)?:\/\//.test(text)) {
    const { postgres } = await import('../storage/postgres/index.ts')
    return postgres(text)
  }
  throw new UsageError(`${withoutPassword(text)} names no store: write sqlite:PATH or postgres://user:password@host/database`)
}

function withoutPassword(text: string): string {
  return text.replace(/:[^:@/]*@/, ':…@')
}

/** Node reports a refused connection to a name with several addresses as a group of errors without a message. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
