import { start } from 'headwater'
import type { Audited } from '../demo/books.ts'
import { checkBooks } from '../demo/books.ts'
import type { Entry } from '../demo/entry.ts'
import { openStorage } from '../demo/storage.ts'
import type { Bank } from '../payments/bank.ts'
import { serviceNames, servicesWith } from './services.ts'
import type { Stores } from './stores.ts'
import { storageOf } from './stores.ts'

/** Opens each service on its store once more, now that nothing runs, and checks the books over all of them. */
export async function auditStores(stores: Stores, bank: Bank): Promise<readonly Entry[]> {
  await using open = new AsyncDisposableStack()
  const services = servicesWith(bank)
  const apps: Audited[] = []
  for (const name of serviceNames) {
    const storage = await openStorage(storageOf(name, stores))
    apps.push(open.use(await start<string, string>(services[name], { storage, run: ['projections'] })))
  }
  return await checkBooks(apps, bank)
}
