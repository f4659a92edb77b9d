import type { Storage, StorageDriver } from '../../storage/port.ts'
import { appendAtomicity } from './append-atomicity.ts'
import { appendConcurrency } from './append-concurrency.ts'
import { appendConditions } from './append-conditions.ts'
import { appendExpectations } from './append-expectations.ts'
import { appendIdempotency } from './append-idempotency.ts'
import { appendJudging } from './append-judging.ts'
import type { BehaviourGroup, DisposableStorage, StorageHarness } from './behaviour.ts'
import { checkpointsAndFencing } from './checkpoints-and-fencing.ts'
import { documentsFind } from './documents-find.ts'
import { documentsLifecycle } from './documents-lifecycle.ts'
import { documentsLoad } from './documents-load.ts'
import { documentsSearch } from './documents-search.ts'
import { documentsWrite } from './documents-write.ts'
import { filters } from './filters.ts'
import { inbox } from './inbox.ts'
import { leases } from './leases.ts'
import { limits } from './limits.ts'
import { opening } from './opening.ts'
import { positions } from './positions.ts'
import { readLog } from './read-log.ts'
import { readStream } from './read-stream.ts'
import { receipts } from './receipts.ts'
import { snapshots } from './snapshots.ts'
import { sqlTransaction, withoutSql } from './sql-transaction.ts'
import { streamList } from './stream-list.ts'
import { textFidelity } from './text-fidelity.ts'
import { wakeUp } from './wake-up.ts'

/** One promise of the port, ready to be run by whatever test framework. */
export interface StorageBehaviour {
  readonly group: string
  readonly name: string
  /**
   * Makes a store, tries the behaviour on it and removes it. Rejects when the driver does not keep the promise; resolves to why it was
   * skipped when the driver's capabilities say that it makes no such promise.
   */
  run(): Promise<{ readonly skipped: string } | undefined>
}

const groups: readonly BehaviourGroup[] = [
  opening,
  appendExpectations,
  appendIdempotency,
  appendAtomicity,
  appendJudging,
  appendConditions,
  appendConcurrency,
  positions,
  readStream,
  readLog,
  filters,
  streamList,
  textFidelity,
  limits,
  snapshots,
  receipts,
  inbox,
  leases,
  checkpointsAndFencing,
  documentsWrite,
  documentsFind,
  documentsSearch,
  documentsLifecycle,
  documentsLoad,
  sqlTransaction,
  withoutSql,
  wakeUp,
]

/**
 * Every promise of `StorageDriver`, one behaviour each. They are independent of each other and may run at the same time; none needs more than
 * seconds. With vitest, for example:
 *
 *     for (const { group, name, run } of storageConformance({ open }))
 *       test(`${group}: ${name}`, async ({ skip }) => {
 *         const outcome = await run()
 *         if (outcome) skip(outcome.skipped)
 *       })
 */
export function storageConformance(harness: StorageHarness): readonly StorageBehaviour[] {
  return groups.flatMap((group) =>
    Object.keys(group.behaviours).map((name) => ({ group: group.group, name, run: () => runBehaviour(harness, group, name) })),
  )
}

async function runBehaviour(
  harness: StorageHarness,
  group: BehaviourGroup,
  name: string,
): Promise<{ readonly skipped: string } | undefined> {
  const stores: DisposableStorage[] = []
  const drivers: StorageDriver[] = []
  const make = async (): Promise<Storage> => {
    const store = await harness.open()
    stores.push(store)
    return tracked(store.storage, drivers)
  }
  try {
    const storage = await make()
    const reopen = (options = { migrate: true }): Promise<StorageDriver> => storage.open(options)
    const driver = await reopen()
    const applies = group.requires?.(driver.capabilities) ?? true
    if (applies !== true) return { skipped: applies }
    await group.behaviours[name]!({ driver, reopen, unopened: make })
    return undefined
  } finally {
    // A driver that cannot be closed must not hide why the behaviour failed; that closing works is a behaviour of its own.
    await Promise.allSettled(drivers.map((driver) => driver.close()))
    for (const store of stores) await store.dispose()
  }
}

/** The storage, remembering what was opened so that it can be closed. */
function tracked(storage: Storage, drivers: StorageDriver[]): Storage {
  return {
    name: storage.name,
    async open(options) {
      const driver = await storage.open(options)
      drivers.push(driver)
      return driver
    },
  }
}
