import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import { earliest, latest } from './client/cluster.ts'
import type { Cluster } from './client/cluster.ts'
import type { Library } from './client/library.ts'
import type { CommittedOffsets } from './committed-offsets.ts'
import type { FetchPump } from './fetch-pump.ts'
import type { HeldMessages } from './held-messages.ts'
import { PartitionReader } from './partition-reader.ts'
import { UnknownTopicError } from '../errors.ts'
import type { Partition, ReceivedMessage, StartAt, SubscriptionOptions } from '../port.ts'

/** What the partitions of a subscription share. */
export interface PartitionSource {
  readonly library: Library
  readonly cluster: Cluster
  readonly options: SubscriptionOptions
  readonly pump: FetchPump
  readonly committed: CommittedOffsets
  readonly held: HeldMessages
  /** Where partitions began for which there was nothing to go on from, so that they begin there again while this process lives. */
  readonly starts: Map<number, number>
}

/** A partition for as long as this process may consume it. */
export class KafkaPartition implements Partition {
  readonly topic: string
  readonly number: number
  readonly revoked: AbortSignal
  readonly #source: PartitionSource

  constructor(source: PartitionSource, number: number, revoked: AbortSignal) {
    this.topic = source.options.topic
    this.number = number
    this.revoked = revoked
    this.#source = source
  }

  async *read(after?: number): AsyncGenerator<readonly ReceivedMessage[], void, undefined> {
    const { pump, options, held, library, committed } = this.#source
    const labels = { transport: 'kafka', topic: this.topic, group: options.group }
    const offset = after === undefined ? await this.#start() : after + 1
    if (offset === undefined) return
    // A group that is new, or was put somewhere else, has its figures at once.
    if (after !== undefined) committed.addFirst(this.number, offset)
    const reader = new PartitionReader(this.number, offset, options, () => pump.pump())
    const end = (): void => reader.end()
    this.revoked.addEventListener('abort', end, { once: true })
    if (this.revoked.aborted) reader.end()
    pump.add(reader)
    try {
      for await (const batch of reader.batches()) {
        library.environment.metrics.count('headwater_transport_received_total', batch.length, labels)
        held.add(this.number, batch)
        yield batch
      }
    } finally {
      this.revoked.removeEventListener('abort', end)
      reader.end()
      pump.remove(reader)
      held.forget(this.number)
    }
  }

  acknowledge(messages: readonly ReceivedMessage[]): Promise<void> {
    const last = messages.at(-1)?.offset
    if (last !== undefined) {
      this.#source.committed.add(this.number, last + 1)
      this.#source.held.finish(this.number, last)
    }
    return Promise.resolve()
  }

  release(): Promise<void> {
    return Promise.resolve()
  }

  /** Undefined when the partition was taken away before the broker said where it begins. */
  async #start(): Promise<number | undefined> {
    const { starts, options, cluster, library, committed } = this.#source
    const known = starts.get(this.number)
    if (known !== undefined) return known
    const { clock, random, log } = library.environment
    for (let attempt = 0; !this.revoked.aborted; attempt++) {
      try {
        const offset = await Promise.race([this.#resolve(options.startAt, cluster), aborted(this.revoked)])
        if (offset === undefined) return undefined
        if (options.startAt.at === 'beginning') return offset
        starts.set(this.number, offset)
        committed.addFirst(this.number, offset)
        return offset
      } catch (error) {
        if (error instanceof UnknownTopicError) throw error
        log('debug', 'where the partition begins is not known yet', {
          topic: this.topic,
          partition: this.number,
          error: describeError(error),
        })
        await clock.sleep(backoffMs(attempt, { firstMs: 50, maxMs: 1_000 }, random), this.revoked)
      }
    }
    return undefined
  }

  async #resolve(startAt: StartAt, cluster: Cluster): Promise<number> {
    const at = startAt.at === 'beginning' ? earliest : startAt.at === 'end' ? latest : startAt.timeMs
    const found = await this.#offsetAt(at, cluster)
    // Nothing is as late as that.
    return found >= 0 ? found : this.#offsetAt(latest, cluster)
  }

  async #offsetAt(at: number, cluster: Cluster): Promise<number> {
    return (await cluster.offsets(this.topic, [this.number], at)).get(this.number) ?? -1
  }
}

/** A broker that does not answer must not keep a run from ending. */
function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined)
    else signal.addEventListener('abort', () => resolve(undefined), { once: true })
  })
}
