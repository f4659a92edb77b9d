import type { StartAt, TransportConnection } from '../transport/port.ts'
import type { ProcessingContext } from './processor.ts'

export interface TopicStart {
  /** Of the processors, before the number of their partition. */
  readonly name: string
  readonly group: string
  readonly topic: string
  readonly startAt: StartAt
  readonly connection: TransportConnection
  readonly context: ProcessingContext
}

/**
 * Writes down where each partition begins of a group that is new, as its checkpoint. It is done when the group is there first, not when it has handled something
 * first: what comes in between belongs to it, also when this process dies before it has seen any of it.
 *
 * Partition 0 is written last. Where it is there, all were; one that is missing then has been added to the topic since, and nothing of it may be left out.
 */
export async function writeStarts({ name, group, topic, startAt, connection, context }: TopicStart): Promise<void> {
  const { leases, store } = context
  const known = new Set((await store.driver.processors.list()).map(({ processor }) => processor))
  if (known.has(`${name}/0`)) return
  const places = await connection.resetGroup(topic, group, startAt)
  for (const { partition, after } of places.toReversed()) {
    const lease = await leases.claim(`${name}/${partition}`, positionBehind(after))
    // Otherwise another process has just done the same, and consumes.
    if ('lost' in lease) await leases.release(lease)
  }
}

/** Positions of a partition are offsets and one, so that 0 stands before the first. */
export function positionBehind(after: number | undefined): number {
  return (after ?? -1) + 1
}
