import type { Consumer, Producer } from '@platformatic/kafka'
import type { OutgoingRecord } from '../records.ts'
import type { Library } from './library.ts'

export interface TopicRecord extends OutgoingRecord {
  readonly topic: string
  /** Undefined: the one of its key. */
  readonly partition: number | undefined
}

export interface PlacedTopicRecord extends TopicRecord {
  readonly partition: number
}

/** How far a partition has been read: the offset of the next message. */
export interface ReadUpTo {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

type Transaction = Awaited<ReturnType<Producer['beginTransaction']>>
type ConsumedMessage = Parameters<Transaction['addOffset']>[0]

/** After which the broker aborts a transaction by itself, so that those who read behind it can go on. Nobody's code runs inside of one. */
const transactionTimeoutMs = 15_000
/** With the pauses below, for about six seconds. What fails for longer is begun anew, with another producer. */
const retries = 16

/**
 * Writes records and the offset up to which their input was read in one transaction. To open one ends those that were opened with the same transactional id,
 * wherever they are: what they have not committed they never will. After an error it must not be used again.
 */
export class TransactionalSender {
  readonly #library: Library
  readonly #producer: Producer
  readonly #consumer: Consumer
  /** Begun and without anything in it yet. */
  #next: Transaction | undefined
  #coordinator = -1

  /** Resolves when nobody else can commit anything under this transactional id any more. */
  static async open(library: Library, transactionalId: string, group: string): Promise<TransactionalSender> {
    const sender = new TransactionalSender(library, transactionalId, group)
    try {
      sender.#next = await sender.#producer.beginTransaction()
      sender.#coordinator = await sender.#consumer.findGroupCoordinator()
      return sender
    } catch (error) {
      await sender.close()
      throw error
    }
  }

  private constructor(library: Library, transactionalId: string, group: string) {
    this.#library = library
    this.#producer = new library.kafka.Producer({
      ...library.clientOptions(),
      transactionalId,
      idempotent: true,
      // Asks for an epoch of its own. By default the library claims to be a producer that the broker has never seen.
      producerId: -1n,
      producerEpoch: -1,
      timeout: transactionTimeoutMs,
      retries,
      // A transaction that has been ended is not quite over for some milliseconds, in which the broker refuses the next one.
      retryDelay: (_client, _operation, attempt) => Math.min(1_000, 2 ** attempt),
      compression: library.settings.compression,
    })
    library.observe(this.#producer)
    // It joins nothing: the library asks it for the group's name and coordinator.
    this.#consumer = new library.kafka.Consumer({ ...library.clientOptions(), groupId: group, retries: 5 })
    library.observe(this.#consumer)
  }

  /** How many partitions each of these topics has. */
  async partitions(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const metadata = await this.#producer.metadata({ topics: [...topics] })
    return new Map([...metadata.topics].map(([name, { partitionsCount }]) => [name, partitionsCount]))
  }

  /**
   * All of the records and the offset, or nothing. Each list is one request; they are sent one after the other, since of those that overlap the library
   * has only the first committed.
   */
  async commit(requests: readonly (readonly PlacedTopicRecord[])[], read: ReadUpTo): Promise<void> {
    const transaction = this.#next ?? (await this.#producer.beginTransaction())
    this.#next = undefined
    for (const records of requests) {
      const messages = records.map(({ topic, partition, key, value, headers }) => ({
        topic,
        partition,
        value,
        headers,
        ...(key !== undefined && { key }),
      }))
      await transaction.send({ messages, acks: this.#library.kafka.ProduceAcks.ALL })
    }
    await transaction.addConsumer(this.#consumer)
    await transaction.addOffset(this.#lastMessage(read))
    await transaction.commit()
  }

  /** Ends what is under way too, with an error; a transaction that was not committed is aborted by whoever opens the next sender, or by the broker. */
  async close(): Promise<void> {
    await Promise.allSettled([this.#producer.close(true), this.#consumer.close(true)])
  }

  /**
   * As much of a consumed message as the library reads. No generation and member: the transactional id is the partition's, and keeps out those who had it
   * before; a generation would also refuse who keeps its partition while others come and go.
   */
  #lastMessage({ topic, partition, offset }: ReadUpTo): ConsumedMessage {
    const consumer = { groupId: this.#consumer.groupId, generationId: -1, memberId: '', coordinatorId: this.#coordinator }
    const message: Pick<ConsumedMessage, 'topic' | 'partition' | 'offset' | 'metadata'> = {
      topic,
      partition,
      offset: BigInt(offset - 1),
      metadata: { consumer },
    }
    return message as ConsumedMessage
  }
}
