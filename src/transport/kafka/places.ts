import type { GroupPlace, StartAt } from '../port.ts'
import { earliest, latest } from './client/cluster.ts'
import type { Cluster } from './client/cluster.ts'

/**
 * Where each partition of a topic begins for a group that starts there. Nothing is written: the offsets are the consumer's, and those that the broker knows, for its
 * figures, follow as soon as somebody reads.
 * @throws UnknownTopicError, TransportUnavailableError
 */
export async function placesOf(cluster: Cluster, topic: string, startAt: StartAt): Promise<readonly GroupPlace[]> {
  const partitions = Array.from({ length: await cluster.partitions(topic) }, (_, partition) => partition)
  // In this order: what comes in between stands behind the place, not before it.
  const found = await cluster.offsets(topic, partitions, whenOf(startAt))
  const ends = await cluster.offsets(topic, partitions, latest)
  return partitions.map((partition) => {
    const end = ends.get(partition) ?? 0
    const offset = found.get(partition) ?? -1
    // -1: nothing is as late as that.
    const next = offset < 0 ? end : offset
    return { partition, after: next - 1, messages: end - next }
  })
}

function whenOf(startAt: StartAt): number {
  if (startAt.at === 'beginning') return earliest
  return startAt.at === 'end' ? latest : startAt.timeMs
}
