import type { Environment } from '../observability/environment.ts'
import { backoffMs } from './backoff.ts'
import { StoreUnavailableError } from './errors.ts'
import type { StorageDriver } from './port.ts'

/**
 * Does the work again for as long as it fails for a transient reason.
 * @throws StoreUnavailableError after `retryForMs` of that; whatever else the work rejects with
 */
export async function patiently<T>(
  { driver, environment, retryForMs }: { readonly driver: StorageDriver; readonly environment: Environment; readonly retryForMs: number },
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  const { clock, metrics, random } = environment
  const startedMs = clock.now()
  for (let attempt = 0; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!driver.isTransient(error)) throw error
      if (clock.now() - startedMs >= retryForMs)
        throw new StoreUnavailableError(`no ${what} was possible for ${retryForMs} ms`, { cause: error })
      metrics.count('headwater_commit_retries_total')
      await clock.sleep(backoffMs(attempt, { firstMs: 10, maxMs: 1_000 }, random))
    }
  }
}
