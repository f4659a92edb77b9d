import type { Clock } from '../message/clock.ts'
import { systemClock } from '../message/clock.ts'
import type { Log } from './log.ts'
import { standardErrorLog } from './log.ts'
import type { Metrics } from './metrics.ts'
import { InMemoryMetrics } from './metrics.ts'

/** What everything that runs needs from outside, so that a test can put its own in its place. */
export interface Environment {
  readonly clock: Clock
  /** From 0 to below 1, as `Math.random`; for jitter. */
  readonly random: () => number
  readonly log: Log
  readonly metrics: Metrics
}

/** The real clock and randomness, JSON lines on standard error, figures in memory; each can be replaced. */
export function environment(given: Partial<Environment> = {}): Environment {
  return {
    clock: given.clock ?? systemClock,
    random: given.random ?? Math.random,
    log: given.log ?? standardErrorLog,
    metrics: given.metrics ?? new InMemoryMetrics(),
  }
}
