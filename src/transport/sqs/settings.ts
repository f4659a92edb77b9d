import { InvalidDefinitionError } from '../../message/errors.ts'
import type { SqsOptions } from './options.ts'

/** What the options come down to. */
export interface SqsSettings {
  readonly fifo: boolean
  readonly queuePrefix: string
  readonly publishTimeoutMs: number
  readonly batchSameKey: boolean
  readonly waitTimeSec: number
  readonly visibilityTimeoutSec: number
  readonly queueCacheMs: number
  /** After how many times SQS puts a message aside. Undefined: never. */
  readonly maxReceiveCount: number | undefined
}

export function resolveSettings(options: SqsOptions): SqsSettings {
  const queuePrefix = options.queuePrefix ?? ''
  if (!/^[A-Za-z0-9_-]{0,20}$/.test(queuePrefix))
    throw new InvalidDefinitionError(`queuePrefix must be at most 20 letters, digits, '-' and '_', not '${queuePrefix}'`)
  return {
    fifo: options.fifo ?? true,
    queuePrefix,
    batchSameKey: options.batchSameKey ?? false,
    publishTimeoutMs: inRange('publishTimeoutMs', options.publishTimeoutMs ?? 30_000, 1, 3_600_000),
    waitTimeSec: inRange('waitTimeSec', options.waitTimeSec ?? 5, 0, 20),
    visibilityTimeoutSec: inRange('visibilityTimeoutSec', options.visibilityTimeoutSec ?? 30, 2, 43_200),
    queueCacheMs: inRange('queueCacheMs', options.queueCacheMs ?? 2_000, 0, 600_000),
    maxReceiveCount: options.redrive && inRange('redrive.maxReceiveCount', options.redrive.maxReceiveCount ?? 1_000, 10, 1_000),
  }
}

function inRange(name: string, value: number, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value
  throw new InvalidDefinitionError(`${name} must be a whole number from ${least} to ${most}, not ${value}`)
}
