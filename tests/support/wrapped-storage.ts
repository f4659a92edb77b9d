import type { Storage, StorageDriver } from '../../src/storage/port.ts'
import type { Verdict, WriteSet } from '../../src/storage/write-set.ts'

type Commit = (sets: readonly WriteSet[]) => Promise<readonly Verdict[]>

export class TransientError extends Error {}

/** The same storage with something done around each commit: a fault, a pause. A `TransientError` counts as one that may be tried again. */
export function aroundCommits(
  storage: Storage,
  around: (sets: readonly WriteSet[], commit: Commit) => Promise<readonly Verdict[]>,
): Storage {
  return wrapped(storage, (target) => ({ commit: (sets: readonly WriteSet[]) => around(sets, (inner) => target.commit(inner)) }))
}

/** The same storage with some functions of its driver replaced. A `TransientError` counts as one that may be tried again. */
export function wrapped(storage: Storage, replace: (target: StorageDriver) => Partial<StorageDriver>): Storage {
  return {
    name: storage.name,
    async open(options) {
      const driver = await storage.open(options)
      const replaced: Partial<Record<string | symbol, unknown>> = replace(driver)
      return new Proxy(driver, {
        get(target, property) {
          if (Object.hasOwn(replaced, property)) return replaced[property]
          if (property === 'isTransient') return (error: unknown) => error instanceof TransientError || target.isTransient(error)
          const value: unknown = Reflect.get(target, property, target)
          return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
        },
      }) satisfies StorageDriver
    },
  }
}
