import type { Storage, StorageCapabilities, StorageDriver } from '../../storage/port.ts'

/** What a driver's author provides: the means to make stores. */
export interface StorageHarness {
  /**
   * A store that did not exist before and that nobody else uses. Its `open` is called several times where a behaviour is about several
   * processes on one store. `dispose` removes it, after all drivers have been closed.
   */
  open(): Promise<DisposableStorage>
}

export interface DisposableStorage {
  readonly storage: Storage
  dispose(): Promise<void>
}

/** What a behaviour is given to try itself on. Whatever is opened through it is closed and removed when the behaviour ends. */
export interface StoreUnderTest {
  /** A driver on a new and empty store. */
  readonly driver: StorageDriver
  /** A further driver on the same store, as another process would have it. */
  reopen(options?: { readonly migrate: boolean }): Promise<StorageDriver>
  /** A new store that has not been opened yet. */
  unopened(): Promise<Storage>
}

export interface BehaviourGroup {
  readonly group: string
  /** True when the behaviours apply to a driver with these capabilities, else why they do not. Default: they apply to each. */
  readonly requires?: (capabilities: StorageCapabilities) => true | string
  /** What the driver must do, and how it is shown: rejects (with an AssertionError, as a rule) when the driver does not. */
  readonly behaviours: Readonly<Record<string, (store: StoreUnderTest) => Promise<void>>>
}
