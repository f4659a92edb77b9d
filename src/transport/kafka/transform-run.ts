import { TransportUnavailableError } from '../errors.ts'
import type { ReceivedMessage, StartAt } from '../port.ts'
import type { Cluster } from './client/cluster.ts'
import type { Library } from './client/library.ts'
import type { PlacedTopicRecord, TopicRecord } from './client/transactional-sender.ts'
import { TransactionalSender } from './client/transactional-sender.ts'
import { partitionOf } from './murmur2.ts'
import type { KafkaPartition } from './partition.ts'
import { requestBytes } from './publisher.ts'
import { batchOverhead } from './records.ts'
import type { Transformer } from './transformer.ts'

export interface TransformParts {
  readonly library: Library
  readonly cluster: Cluster
  readonly transformer: Transformer
  readonly group: string
  readonly startAt: StartAt
  readonly concurrency: number
  /** The topics that are written to, that of dead letters included. */
  readonly outputs: readonly string[]
}

/** How long a transaction that is under way may still take when its partition is taken away. */
const lastCommitMs = 5_000

/**
 * Transforms one partition for as long as this process may. The transactional id is the partition's: whoever begins shuts out those who had it before, then asks how far
 * they came, so that nothing is written twice and nothing left out, whatever the group believes. Transforms run before their transaction begins,
 * which lasts no longer than it takes to write what they returned.
 */
export class TransformRun {
  readonly #parts: TransformParts
  readonly #partition: KafkaPartition
  #limits: ReadonlyMap<string, number> = new Map()
  #wake = (): void => {}

  constructor(parts: TransformParts, partition: KafkaPartition) {
    this.#parts = parts
    this.#partition = partition
  }

  /** Rejects when something failed that may work later, with a new producer. */
  async run(): Promise<void> {
    const { library, cluster, group, outputs } = this.#parts
    const { topic, revoked } = this.#partition
    this.#limits = new Map(await Promise.all(outputs.map(async (name) => [name, await cluster.maxMessageBytesOf(name)] as const)))
    const sender = await TransactionalSender.open(library, `headwater.${group}.${topic}.${this.#partition.number}`, group)
    const wake = (): void => this.#wake()
    revoked.addEventListener('abort', wake)
    try {
      const offset = (await cluster.stableOffset(group, topic, this.#partition.number)) ?? (await this.#begin(sender))
      for await (const messages of this.#partition.read(offset - 1)) {
        await this.#process(messages, sender)
        if (revoked.aborted) return
        await this.#partition.acknowledge(messages)
      }
    } finally {
      revoked.removeEventListener('abort', wake)
      await sender.close()
    }
  }

  /** Where it began is written down: after a restart `end` would be somewhere else. */
  async #begin(sender: TransactionalSender): Promise<number> {
    const { cluster, startAt } = this.#parts
    const offset = await cluster.firstOffset(this.#partition.topic, this.#partition.number, startAt)
    if (startAt.at !== 'beginning') await this.#commit([], offset, sender)
    return offset
  }

  /** Commits what is finished at the front while others are still being transformed; the slower the broker, the more at once. */
  async #process(messages: readonly ReceivedMessage[], sender: TransactionalSender): Promise<void> {
    const { revoked } = this.#partition
    const { transformer, concurrency } = this.#parts
    const results: (readonly TopicRecord[] | undefined)[] = []
    let begun = 0
    let running = 0
    const proceed = (): void => {
      while (begun < messages.length && running < concurrency && !revoked.aborted) {
        const index = begun++
        const outcome = transformer.transform(messages[index]!, this.#limits, revoked)
        if (!(outcome instanceof Promise)) {
          results[index] = outcome
          continue
        }
        running++
        const settle = (records: readonly TopicRecord[] | undefined): void => {
          results[index] = records
          running--
          proceed()
          this.#wake()
        }
        outcome.then(settle, () => settle(undefined))
      }
    }
    proceed()
    for (let done = 0; done < messages.length && !revoked.aborted;) {
      let ready = done
      while (results[ready]) ready++
      if (ready === done) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      const records = results.slice(done, ready).flatMap((result) => result ?? [])
      await this.#commit(records, this.#partition.behind(messages[ready - 1]!.offset!), sender)
      this.#parts.library.environment.metrics.count('headwater_processor_events_total', ready - done, {
        processor: `transform:${this.#parts.group}`,
      })
      done = ready
    }
  }

  async #commit(records: readonly TopicRecord[], offset: number, sender: TransactionalSender): Promise<void> {
    const { library, outputs } = this.#parts
    const placed = records.length > 0 ? place(records, await sender.partitions(outputs)) : []
    await this.#inTime(sender.commit(this.#requests(placed), { topic: this.#partition.topic, partition: this.#partition.number, offset }))
    for (const [topic, { length }] of Map.groupBy(placed, (record) => record.topic))
      library.environment.metrics.count('headwater_transport_published_total', length, { transport: 'kafka', topic })
  }

  /** A broker that does not answer must not keep a partition from being given up. */
  async #inTime(committing: Promise<void>): Promise<void> {
    const { environment, settings } = this.#parts.library
    const over = new AbortController()
    const late = Promise.withResolvers<never>()
    const giveUpAfter = async (ms: number): Promise<void> => {
      await environment.clock.sleep(ms, over.signal)
      if (!over.signal.aborted) late.reject(new TransportUnavailableError('Kafka has not confirmed a transaction in time'))
    }
    void giveUpAfter(settings.publishTimeoutMs)
    this.#partition.revoked.addEventListener('abort', () => void giveUpAfter(lastCommitMs), { signal: over.signal })
    try {
      await Promise.race([committing, late.promise])
    } finally {
      over.abort()
    }
  }

  /** The records in their order, in as many requests as it takes for no batch to be larger than its topic takes. */
  #requests(records: readonly PlacedTopicRecord[]): readonly (readonly PlacedTopicRecord[])[] {
    const { batchBytes } = this.#parts.library.settings
    const requests: PlacedTopicRecord[][] = []
    let sizes = new Map<string, number>()
    let total = 0
    for (const record of records) {
      const batch = `${record.partition} ${record.topic}`
      const size = (sizes.get(batch) ?? 0) + record.bytes
      const most = Math.min(batchBytes, this.#limits.get(record.topic) ?? Infinity) - batchOverhead
      const last = requests.at(-1)
      if (last && size <= most && total + record.bytes <= requestBytes) {
        last.push(record)
        sizes.set(batch, size)
        total += record.bytes
      } else {
        requests.push([record])
        sizes = new Map([[batch, record.bytes]])
        total = record.bytes
      }
    }
    return requests
  }
}

function place(records: readonly TopicRecord[], partitions: ReadonlyMap<string, number>): readonly PlacedTopicRecord[] {
  return records.map((record) => {
    const count = partitions.get(record.topic) ?? 1
    const partition = record.partition ?? (record.key ? partitionOf(record.key, count) : 0)
    return { ...record, partition: partition % count }
  })
}
