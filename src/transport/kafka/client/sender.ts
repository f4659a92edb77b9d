import type { Producer } from '@platformatic/kafka'
import type { OutgoingRecord } from '../records.ts'
import { answersIn, isKafkaError, isUnknownTopic } from './errors.ts'
import type { Library } from './library.ts'
import { UnknownTopicError } from '../../errors.ts'

export interface PlacedRecord extends OutgoingRecord {
  partition: number
}

/** What became of a partition's records in a request that failed. */
export type PartitionVerdict = 'written' | 'refused' | 'unknown'

/** Errors by which the broker says that it will never take these records. */
const refusals = [
  'MESSAGE_TOO_LARGE',
  'RECORD_LIST_TOO_LARGE',
  'INVALID_RECORD',
  'INVALID_TIMESTAMP',
  'UNSUPPORTED_FOR_MESSAGE_FORMAT',
  'POLICY_VIOLATION',
]

/**
 * Writes to one topic as one idempotent producer. Whoever uses it sends one request after the other: the library would number overlapping ones rightly,
 * but when one of them is tried again the next one overtakes it, and the library then begins anew with another producer id, behind which the broker recognises no
 * repetition. After an error too it begins anew, which is why each topic has a sender of its own.
 */
export class Sender {
  readonly #library: Library
  readonly #topic: string
  readonly #producer: Producer
  #sent = 0

  constructor(library: Library, topic: string) {
    this.#library = library
    this.#topic = topic
    this.#producer = new library.kafka.Producer({
      ...library.clientOptions(),
      idempotent: true,
      // Whoever gives a request up closes the sender.
      retries: true,
      compression: library.settings.compression,
    })
    library.observe(this.#producer)
  }

  /** @throws UnknownTopicError */
  async partitions(): Promise<number> {
    const topic = this.#topic
    try {
      const { topics } = await this.#producer.metadata({ topics: [topic], retries: 2 })
      return topics.get(topic)?.partitionsCount ?? 0
    } catch (error) {
      throw isUnknownTopic(error) ? new UnknownTopicError('kafka', topic) : error
    }
  }

  /** Resolves when all replicas that are in sync have written the records. Tries again, for ever, what may succeed later. */
  async send(records: readonly PlacedRecord[]): Promise<void> {
    const topic = this.#topic
    const messages = records.map(({ key, value, headers, partition }) => ({
      topic,
      partition,
      value,
      headers,
      ...(key !== undefined && { key }),
    }))
    this.#sent += records.length
    await this.#producer.send({ messages, acks: this.#library.kafka.ProduceAcks.ALL })
  }

  /** The library numbers what it sends to a partition with 32 bits, and fails for ever when they are used up. */
  get isUsedUp(): boolean {
    return this.#sent > 1_000_000_000
  }

  /** What the error of `send` says about a partition. */
  verdict(error: unknown, partition: number): PartitionVerdict {
    // The last one counts: before it others may have failed in another way.
    for (const answer of answersIn(error).toReversed()) {
      const code = errorCodeIn(answer, partition)
      if (code === undefined) continue
      if (code === 0) return 'written'
      const id = this.#library.kafka.protocolErrorsCodesById[code]
      return id !== undefined && refusals.includes(id) ? 'refused' : 'unknown'
    }
    return 'unknown'
  }

  /** Ends a request that is under way too, with an error. */
  async close(): Promise<void> {
    await this.#producer.close(true)
  }
}

/** True when the broker will not take more of these records at once than it did. */
export function isTooLarge(error: unknown): boolean {
  return isKafkaError(error, 'MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE')
}

interface ProduceAnswer {
  readonly responses: readonly { readonly partitionResponses: readonly { readonly index: number; readonly errorCode: number }[] }[]
}

function errorCodeIn(answer: unknown, partition: number): number | undefined {
  if (!isProduceAnswer(answer)) return undefined
  return answer.responses.flatMap((of) => of.partitionResponses).find(({ index }) => index === partition)?.errorCode
}

function isProduceAnswer(answer: unknown): answer is ProduceAnswer {
  if (typeof answer !== 'object' || answer === null || !('responses' in answer) || !Array.isArray(answer.responses)) return false
  return answer.responses.every((of: unknown) => typeof of === 'object' && of !== null && 'partitionResponses' in of)
}
