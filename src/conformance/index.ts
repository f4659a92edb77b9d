export type { DisposableStorage, StorageHarness } from './storage/behaviour.ts'
export type { StorageBehaviour } from './storage/suite.ts'
export { storageConformance } from './storage/suite.ts'
