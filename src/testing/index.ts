export { given, stateAfter } from './given.ts'
export type { When } from './given.ts'
export { ManualClock } from './manual-clock.ts'
