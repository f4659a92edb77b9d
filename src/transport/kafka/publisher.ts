import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { Library } from './client/library.ts'
import type { PartitionVerdict } from './client/sender.ts'
import { isTooLarge, Sender } from './client/sender.ts'
import { MessageTooLargeError, TransportClosedError, TransportUnavailableError, UnknownTopicError } from '../errors.ts'
import type { OutgoingMessage, PublishOutcome } from '../port.ts'
import { partitionOf } from './murmur2.ts'
import type { Call, Waiting } from './publish-report.ts'
import { PublishReport } from './publish-report.ts'
import { batchOverhead, toRecord } from './records.ts'

/** Of all partitions in one request: well below what brokers take (`socket.request.max.bytes`), and no more than is encoded between two turns of the event loop unnoticed. */
export const requestBytes: number = 4 * 1024 * 1024
const noPartition = -1

/**
 * Sends to one topic: one request at a time, with everything that came while the one before was under way. That keeps the order of each key,
 * whatever has to be repeated, and makes batches by itself when there is much to send.
 */
export class TopicPublisher {
  readonly #library: Library
  readonly #topic: string
  readonly #askForLimit: () => Promise<number>
  #maxMessageBytes: number
  readonly #report: PublishReport
  #sender: Sender
  #queue: Waiting[] = []
  #queuedBytes = 0
  #running: Promise<void> | undefined
  #closed = false
  /** Whose turn it is among the partitions, for messages without a key. */
  #turn: number

  /** @param askForLimit How many bytes a message to this topic may have. It is asked again when the broker refuses one for that. */
  static async open(library: Library, topic: string, askForLimit: () => Promise<number>): Promise<TopicPublisher> {
    return new TopicPublisher(library, topic, askForLimit, await askForLimit())
  }

  private constructor(library: Library, topic: string, askForLimit: () => Promise<number>, maxMessageBytes: number) {
    this.#library = library
    this.#topic = topic
    this.#askForLimit = askForLimit
    this.#maxMessageBytes = maxMessageBytes
    this.#report = new PublishReport(library.environment, topic)
    this.#sender = new Sender(library, topic)
    this.#turn = Math.floor(library.environment.random() * 1_000)
  }

  /** @throws TransportClosedError */
  async publish(messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> {
    if (this.#closed) throw new TransportClosedError('kafka')
    if (messages.length === 0) return []
    const startedMs = this.#library.environment.clock.now()
    return new Promise((settle) => {
      const call: Call = { outcomes: [], startedMs, open: messages.length, settle }
      for (let index = 0; index < messages.length; index++) this.#enqueue(messages[index]!, call, index)
      if (this.#queue.length > 0) this.#running ??= this.#run()
    })
  }

  /** Sends what is waiting, then disconnects. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#running
    await this.#sender.close()
  }

  #enqueue(message: OutgoingMessage, call: Call, index: number): void {
    const record = toRecord(message)
    const deadlineMs = call.startedMs + this.#library.settings.publishTimeoutMs
    const waiting = Object.assign(record, { id: message.id, partition: noPartition, call, index, deadlineMs, keyText: message.key })
    if (record.bytes + batchOverhead > this.#maxMessageBytes) {
      this.#report.fail([waiting], this.#tooLarge(waiting), true)
      return
    }
    this.#queue.push(waiting)
    this.#queuedBytes += record.bytes
  }

  async #run(): Promise<void> {
    const { environment, settings } = this.#library
    // What is published in the same turn of the event loop goes into the same request.
    if (settings.lingerMs === 0) await nextTurn()
    while (this.#queue.length > 0) {
      if (settings.lingerMs > 0 && !this.#closed && this.#queuedBytes < settings.batchBytes)
        await environment.clock.sleep(settings.lingerMs)
      const partitions = await this.#countPartitions()
      if (partitions !== undefined) await this.#deliver(this.#takeBatch(partitions))
      if (this.#sender.isUsedUp) this.#replaceSender()
    }
    this.#running = undefined
  }

  /** Undefined when it could not be found out, and what was waiting for it too long has failed. */
  async #countPartitions(): Promise<number | undefined> {
    const { clock, random } = this.#library.environment
    for (let attempt = 0; ; attempt++) {
      const [first] = this.#queue
      if (!first) return undefined
      const leftMs = first.deadlineMs - clock.now()
      const answer = await this.#within(leftMs, this.#sender.partitions())
      if (typeof answer === 'number') return answer
      if (answer instanceof UnknownTopicError) {
        this.#failQueued(() => true, answer)
        return undefined
      }
      if (answer === tooLate) this.#giveUp([], undefined)
      else await clock.sleep(backoffMs(attempt, { firstMs: 50, maxMs: 1_000 }, random))
    }
  }

  /** From the front of the queue, as much as one request takes. */
  #takeBatch(partitions: number): Waiting[] {
    const maxBatchBytes = Math.min(this.#library.settings.batchBytes, this.#maxMessageBytes) - batchOverhead
    const sizes = new Map<number, number>()
    let total = 0
    let count = 0
    for (const record of this.#queue) {
      if (record.partition === noPartition) record.partition = record.key ? partitionOf(record.key, partitions) : this.#turn++ % partitions
      const size = (sizes.get(record.partition) ?? 0) + record.bytes
      if (count > 0 && (size > maxBatchBytes || total + record.bytes > requestBytes)) break
      sizes.set(record.partition, size)
      total += record.bytes
      count++
    }
    this.#queuedBytes -= total
    return count === this.#queue.length ? this.#queue.splice(0) : this.#queue.splice(0, count)
  }

  /** Returns when each of the records has its outcome, or is in the queue again. */
  async #deliver(batch: readonly Waiting[]): Promise<void> {
    const { clock, random, log } = this.#library.environment
    let left = batch
    for (let attempt = 0; left.length > 0; attempt++) {
      const answer = await this.#within(left[0]!.deadlineMs - clock.now(), this.#sender.send(left))
      if (answer === undefined) return this.#report.succeed(left)
      if (answer === tooLate) {
        left = this.#giveUp(left, undefined)
        continue
      }
      const verdicts = new Map<number, PartitionVerdict>()
      for (const { partition } of left) if (!verdicts.has(partition)) verdicts.set(partition, this.#sender.verdict(answer, partition))
      const having = (wanted: PartitionVerdict): Waiting[] => left.filter(({ partition }) => verdicts.get(partition) === wanted)
      this.#report.succeed(having('written'))
      for (const refused of Map.groupBy(having('refused'), ({ partition }) => partition).values())
        await this.#deliverHalves(refused, answer)
      left = having('unknown')
      if (left[0] && clock.now() >= left[0].deadlineMs) left = this.#giveUp(left, answer)
      if (left.length === 0) return
      log('warn', 'Kafka did not take messages; they are sent again', {
        topic: this.#topic,
        messages: left.length,
        error: describeError(answer),
      })
      await clock.sleep(backoffMs(attempt, { firstMs: 50, maxMs: 1_000 }, random))
    }
  }

  /** The broker refuses a batch as a whole. What is behind the message that it means is sent next, in its order, unless what is before it fails. */
  async #deliverHalves(refused: readonly Waiting[], error: Error): Promise<void> {
    const [first] = refused
    if (first && refused.length === 1) return this.#report.fail(refused, isTooLarge(error) ? await this.#newlyTooLarge(first) : error, true)
    const middle = Math.ceil(refused.length / 2)
    const behind = refused.slice(middle)
    this.#queue = [...behind, ...this.#queue]
    this.#countQueued()
    await this.#deliver(refused.slice(0, middle))
  }

  /** Somebody has lowered the limit. */
  async #newlyTooLarge(record: Waiting): Promise<Error> {
    this.#maxMessageBytes = await this.#askForLimit().catch(() => this.#maxMessageBytes)
    return this.#tooLarge(record)
  }

  #tooLarge({ id, bytes }: Waiting): Error {
    const limit = { name: `max.message.bytes of the topic ${this.#topic}`, bytes: this.#maxMessageBytes }
    return new MessageTooLargeError(id, bytes + batchOverhead, limit)
  }

  /** What the promise gives, its error, or `tooLate`. */
  async #within<T>(ms: number, promise: Promise<T>): Promise<T | Error | typeof tooLate> {
    const done = new AbortController()
    // A timer may fire just before the clock shows its time.
    const timeout = this.#library.environment.clock.sleep(Math.max(0, ms) + 1, done.signal).then((): typeof tooLate => tooLate)
    const outcome = promise.catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))))
    try {
      return await Promise.race([outcome, timeout])
    } finally {
      done.abort()
    }
  }

  /**
   * What is too late may have been written or not, so that nothing behind it of its key may be sent. The sender is done with: it would go on trying, and
   * what it wrote later would come behind its successors. Returns what is to be sent again, which may be a repetition.
   */
  #giveUp(sent: readonly Waiting[], cause: unknown): readonly Waiting[] {
    const { environment, settings } = this.#library
    this.#replaceSender()
    const nowMs = environment.clock.now()
    const late = [...sent, ...this.#queue].filter(({ deadlineMs }) => deadlineMs <= nowMs)
    const keys = new Set(late.map(({ keyText }) => keyText))
    const isLost = ({ deadlineMs, keyText }: Waiting): boolean => deadlineMs <= nowMs || (keyText !== undefined && keys.has(keyText))
    const error = new TransportUnavailableError(`Kafka has not confirmed the message within ${settings.publishTimeoutMs} ms`, { cause })
    this.#report.fail(sent.filter(isLost), error, false)
    this.#failQueued(isLost, error)
    return sent.filter((record) => !isLost(record))
  }

  #replaceSender(): void {
    const { log } = this.#library.environment
    const abandoned = this.#sender
    this.#sender = new Sender(this.#library, this.#topic)
    abandoned.close().catch((error: unknown) => log('debug', 'a Kafka producer did not close', { error: describeError(error) }))
  }

  #failQueued(which: (record: Waiting) => boolean, error: Error): void {
    const failed = this.#queue.filter(which)
    this.#queue = this.#queue.filter((record) => !which(record))
    this.#countQueued()
    this.#report.fail(failed, error, false)
  }

  #countQueued(): void {
    this.#queuedBytes = this.#queue.reduce((sum, { bytes }) => sum + bytes, 0)
  }
}

const tooLate: unique symbol = Symbol('too late')

async function nextTurn(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve))
}
