import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../../observability/log.ts'
import type { Partition, ReceivedMessage, StartAt, Subscription, TransportCapabilities, TransportConnection } from '../../transport/port.ts'
import { eventually } from '../storage/patience.ts'
import type { TransportUnderTest } from './behaviour.ts'

/** The last finished offset of each partition, which the consumers of one group keep where the broker does not: the members of a group share one. */
export type Offsets = Map<number, number>

export interface ConsumeOptions {
  readonly topic: string
  readonly group: string
  /** Default: from what `ensureGroup` of `topicAndGroup` has seen. */
  readonly startAt?: StartAt
  readonly offsets?: Offsets
  /** Default: 100. */
  readonly maxMessages?: number
  /** Default: 16 MiB. */
  readonly maxBytes?: number
  /** Default: 5,000. */
  readonly releaseTimeoutMs?: number
  /** What is done with each batch after it was noted. Default: it is finished. */
  handle?(batch: readonly ReceivedMessage[], partition: Partition, consumer: Consumer): Promise<void> | void
}

/** Where a group starts that must get whatever is published after it was made, also on brokers without a memory. */
export function startOf(capabilities: TransportCapabilities): StartAt {
  return capabilities.startAt.includes('beginning') ? { at: 'beginning' } : { at: 'end' }
}

/** A new topic, and a group that will get everything that is published to it. */
export async function topicAndGroup(
  { connection, capabilities, topic: newTopic, unusedName }: TransportUnderTest,
  options: { readonly partitions?: number } = {},
): Promise<{ readonly topic: string; readonly group: string }> {
  const topic = await newTopic(options)
  const group = unusedName()
  await connection.ensureGroup(topic, group, startOf(capabilities))
  return { topic, group }
}

/** One member of a group that writes down what happens to it. */
export class Consumer {
  readonly received: ReceivedMessage[] = []
  readonly batches: (readonly ReceivedMessage[])[] = []
  /** Every call of `run`, also those that are over. */
  readonly runs: { readonly partition: Partition; isOver: boolean }[] = []
  /** What `run` rejected with. */
  readonly failures: unknown[] = []
  readonly offsets: Offsets
  readonly #connection: TransportConnection
  readonly #options: ConsumeOptions
  #subscription: Subscription | undefined

  constructor(connection: TransportConnection, options: ConsumeOptions) {
    this.#connection = connection
    this.#options = options
    this.offsets = options.offsets ?? new Map<number, number>()
  }

  async start(): Promise<this> {
    const { topic, group, maxMessages = 100, maxBytes = 16 * 1024 * 1024, releaseTimeoutMs = 5_000 } = this.#options
    const startAt = this.#options.startAt ?? startOf(this.#connection.capabilities)
    const run = (partition: Partition): Promise<void> => this.#run(partition)
    this.#subscription = await this.#connection.subscribe({ topic, group, startAt, maxMessages, maxBytes, releaseTimeoutMs, run })
    return this
  }

  /** Acknowledges the messages, and keeps their offset where that is the consumer's business. */
  async finish(messages: readonly ReceivedMessage[], partition: Partition): Promise<void> {
    const last = messages.at(-1)
    if (last?.offset !== undefined) this.offsets.set(last.partition ?? 0, last.offset)
    await partition.acknowledge(messages)
  }

  /** Waits until at least so many messages have come. */
  async until(count: number): Promise<void> {
    await eventually(`${count} messages received`, () => this.received.length >= count).catch((error: unknown) => {
      const failures = this.failures.map(describeError).join('; ')
      throw new Error(`${this.received.length} of ${count} messages came${failures && `, and run failed: ${failures}`}`, { cause: error })
    })
  }

  /** Waits until so many messages have come, and whether any more do. */
  async exactly(count: number): Promise<void> {
    await this.until(count)
    await quiet()
  }

  async close(): Promise<void> {
    await this.#subscription?.close()
  }

  async #run(partition: Partition): Promise<void> {
    const run = { partition, isOver: false }
    this.runs.push(run)
    try {
      const after = this.#connection.capabilities.ordering === 'partition' ? this.offsets.get(partition.number ?? 0) : undefined
      for await (const batch of partition.read(after)) {
        this.batches.push(batch)
        this.received.push(...batch)
        await (this.#options.handle ? this.#options.handle(batch, partition, this) : this.finish(batch, partition))
      }
    } catch (error) {
      this.failures.push(error)
      throw error
    } finally {
      run.isOver = true
    }
  }
}

/** Takes part in the consumption of a topic. */
export function consume(connection: TransportConnection, options: ConsumeOptions): Promise<Consumer> {
  return new Consumer(connection, options).start()
}

/** Nothing shows that something will never come; but what comes too much comes soon after the rest. */
export function quiet(): Promise<void> {
  return delay(300)
}

/** The promise's result, or an error when there is none in time. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  const timer = new AbortController()
  const late = delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`${what}: not within ${timeoutMs} ms`)
  })
  late.catch(() => undefined)
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}
