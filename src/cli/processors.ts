import type { EventStore } from '../storage/event-store.ts'
import { NotFoundError } from './exit-codes.ts'

/**
 * The processors that are meant by a name as operators say it: the whole name, that of a handler, or what several begin with because each topic and
 * partition, and each shard, is one of its own (`charge`, `handler:charge@orders`, `handler:charge@orders/3`, `handler:charge#1/4`).
 * @throws NotFoundError
 */
export async function findProcessors(store: EventStore, name: string): Promise<readonly string[]> {
  const known = (await store.driver.processors.list()).map(({ processor }) => processor).filter((processor) => hasMessages(processor))
  const found = known.filter((processor) => [name, `handler:${name}`].some((wanted) => isPartOf(processor, wanted)))
  if (found.length > 0) return found
  throw new NotFoundError(`no handler or relay in this store is named ${name}; there are: ${known.join(', ') || 'none'}`)
}

/** Projections have no dead letters: they stand still at what they cannot fold. */
function hasMessages(processor: string): boolean {
  return /^(handler|relay):/.test(processor) && !isPresence(processor)
}

function isPartOf(processor: string, wanted: string): boolean {
  return processor === wanted || ['@', '/', '#'].some((mark) => processor.startsWith(`${wanted}${mark}`))
}

/** Who runs it, if anybody: a process id. */
export async function runnerOf(store: EventStore, processor: string): Promise<string | undefined> {
  const info = (await store.driver.processors.list()).find((candidate) => candidate.processor === processor)
  return info?.owner?.split('-')[0]
}

/** True where a position is one of the log; false of what gets its messages from a topic, of whoever reads a store as its broker, and of the outbox. */
export function followsLog(processor: string): boolean {
  return processor !== 'outbox' && !processor.startsWith('transport:') && !/^handler:.+@/.test(processor)
}

/** True of what publishes the log, and of its dead letters. */
export function isRelay(processor: string): boolean {
  return processor.startsWith('relay:')
}

/** True of the lease by which a process says that it takes part in the shards of a handler: it processes nothing. */
export function isPresence(processor: string): boolean {
  return processor.includes('#member:')
}
