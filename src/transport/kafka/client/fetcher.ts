import type { Consumer } from '@platformatic/kafka'
import type { ReceivedMessage } from '../../port.ts'
import { fromRecord } from '../records.ts'
import { answersIn } from './errors.ts'
import type { Library } from './library.ts'

export interface FetchRequest {
  readonly partition: number
  /** Of the first message that is wanted. */
  readonly offset: number
  /** More than that only when the first batch of messages alone has more. */
  readonly maxBytes: number
}

export interface FetchResult {
  readonly partition: number
  /** The offset that was asked for. */
  readonly from: number
  readonly messages: readonly ReceivedMessage[]
  /** Of the messages, as they are held. */
  readonly bytes: number
  /** Of the messages, as they came: less, where they were compressed. */
  readonly wireBytes: number
  /** Where to go on: behind messages of which none may be seen, too. */
  readonly nextOffset: number
  /** The offset is not there: removed by retention, or beyond the end. */
  readonly outOfRange: boolean
  /** Why the partition gave nothing, as Kafka's protocol calls it. */
  readonly failed: string | undefined
}

type FetchResponse = Awaited<ReturnType<Consumer['fetch']>>
type FetchResponsePartition = FetchResponse['responses'][number]['partitions'][number]

// Attributes of a batch.
const control = 1 << 5
const transactional = 1 << 4
const stampedByBroker = 1 << 3

const offsetOutOfRange = 1

/** Of all partitions in one answer: it is taken apart in one go, during which nothing else is done. */
const mostFetchBytes = 2 * 1024 * 1024

/**
 * Fetches messages of one topic. The library's own stream is not used: it pauses as a whole rather than by partition, and closes itself when the broker
 * is away for too long.
 */
export class Fetcher {
  readonly #library: Library
  readonly #topic: string
  readonly #consumer: Consumer

  constructor(library: Library, topic: string, group: string) {
    this.#library = library
    this.#topic = topic
    // It never joins the group. What fails is tried again by whoever fetches, who knows what is still wanted then.
    this.#consumer = new library.kafka.Consumer({ ...library.clientOptions(), groupId: group, retries: 0 })
    this.#consumer.topics.track(topic)
    library.observe(this.#consumer)
  }

  /** The broker that leads each partition, at the place of its number. */
  async leaders(): Promise<readonly number[]> {
    const { topics } = await this.#consumer.metadata({ topics: [this.#topic] })
    return topics.get(this.#topic)?.partitions.map(({ leader }) => leader) ?? []
  }

  /** To be called when something failed: brokers may have been exchanged. */
  forgetLeaders(): void {
    this.#consumer.clearMetadata()
  }

  /** One request at a time to each node. Resolves when there is something, at the latest after `maxWaitMs`, with what there is. */
  async fetch(node: number, requests: readonly FetchRequest[], maxWaitMs: number): Promise<readonly FetchResult[]> {
    const metadata = await this.#consumer.metadata({ topics: [this.#topic] })
    const topicId = metadata.topics.get(this.#topic)?.id
    if (topicId === undefined) return []
    const partitions = requests.map(({ partition, offset, maxBytes }) => ({
      partition,
      fetchOffset: BigInt(offset),
      partitionMaxBytes: maxBytes,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
    }))
    const answer = await this.#answer(
      this.#consumer.fetch({
        node,
        topics: [{ topicId, partitions }],
        maxWaitTime: maxWaitMs,
        minBytes: 1,
        maxBytes: Math.min(
          mostFetchBytes,
          requests.reduce((sum, { maxBytes }) => sum + maxBytes, 0),
        ),
        isolationLevel: this.#library.kafka.FetchIsolationLevels.READ_COMMITTED,
      }),
    )
    const offsets = new Map(requests.map(({ partition, offset }) => [partition, offset]))
    return answer.responses
      .flatMap((of) => of.partitions)
      .map((partition) => this.#result(partition, offsets.get(partition.partitionIndex) ?? 0))
  }

  async close(): Promise<void> {
    await this.#consumer.close(true)
  }

  /** An error of one partition is one of all of them to the library; what the others gave is in it. */
  async #answer(fetching: Promise<FetchResponse>): Promise<FetchResponse> {
    try {
      return await fetching
    } catch (error) {
      const answer = answersIn(error).find(isFetchResponse)
      if (!answer || answer.errorCode !== 0) throw error
      return answer
    }
  }

  #result(answer: FetchResponsePartition, from: number): FetchResult {
    const messages: ReceivedMessage[] = []
    let nextOffset = from
    let bytes = 0
    let wireBytes = 0
    const aborted = new AbortedTransactions(answer)
    for (const batch of answer.records ?? []) {
      const firstOffset = Number(batch.firstOffset)
      nextOffset = Math.max(nextOffset, firstOffset + batch.lastOffsetDelta + 1)
      if (batch.attributes & control) {
        aborted.end(batch.producerId, batch.firstOffset)
        continue
      }
      if (batch.attributes & transactional && aborted.has(batch.producerId, batch.firstOffset)) continue
      const firstTimeMs = Number(batch.firstTimestamp)
      const brokersTimeMs = batch.attributes & stampedByBroker ? Number(batch.maxTimestamp) : undefined
      wireBytes += batch.length
      for (const record of batch.records) {
        const offset = firstOffset + record.offsetDelta
        // Batches come as they were written, also when only their end is wanted.
        if (offset < from) continue
        bytes += record.length
        const timeMs = brokersTimeMs ?? firstTimeMs + Number(record.timestampDelta)
        messages.push(fromRecord(record, { topic: this.#topic, partition: answer.partitionIndex, offset, timeMs }))
      }
    }
    const outOfRange = answer.errorCode === offsetOutOfRange
    const failed =
      answer.errorCode === 0 || outOfRange
        ? undefined
        : (this.#library.kafka.protocolErrorsCodesById[answer.errorCode] ?? `error ${answer.errorCode}`)
    return { partition: answer.partitionIndex, from, messages, bytes, wireBytes, nextOffset, outOfRange, failed }
  }
}

/** Which batches nobody may see. The library leaves those out only when the end of their transaction is in the same answer. */
class AbortedTransactions {
  readonly #starts: { readonly producerId: bigint; readonly firstOffset: bigint }[]
  readonly #open = new Set<bigint>()

  constructor({ abortedTransactions }: FetchResponsePartition) {
    this.#starts = (abortedTransactions ?? []).toSorted((a, b) => Number(a.firstOffset - b.firstOffset))
  }

  has(producerId: bigint, offset: bigint): boolean {
    this.#openUpTo(offset)
    return this.#open.has(producerId)
  }

  /** To be told of every end: of a transaction there may be nothing else in the answer, and the next one of its producer is another one. */
  end(producerId: bigint, offset: bigint): void {
    this.#openUpTo(offset)
    this.#open.delete(producerId)
  }

  #openUpTo(offset: bigint): void {
    for (let next = this.#starts[0]; next && next.firstOffset <= offset; next = this.#starts[0]) {
      this.#open.add(next.producerId)
      this.#starts.shift()
    }
  }
}

function isFetchResponse(answer: unknown): answer is FetchResponse {
  return typeof answer === 'object' && answer !== null && 'responses' in answer && 'sessionId' in answer
}
