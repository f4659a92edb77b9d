import type { ReceivedMessage, StartAt, TransportConnection } from '../../src/transport/port.ts'

export interface CollectOptions {
  readonly topic: string
  readonly group: string
  /** Default: the end, where every broker can begin. */
  readonly startAt?: StartAt
  readonly maxMessages?: number
  readonly finishes?: boolean
}

/** All that a group gets, as it comes, in the list that this returns; finished at once unless `finishes` is false. */
export async function collect(
  connection: TransportConnection,
  { topic, group, startAt = { at: 'end' }, maxMessages = 100, finishes = true }: CollectOptions,
): Promise<ReceivedMessage[]> {
  const received: ReceivedMessage[] = []
  await connection.subscribe({
    topic,
    group,
    startAt,
    maxMessages,
    maxBytes: 1024 * 1024,
    releaseTimeoutMs: 500,
    async run(partition) {
      for await (const batch of partition.read()) {
        received.push(...batch)
        if (finishes) await partition.acknowledge(batch)
      }
    },
  })
  return received
}
