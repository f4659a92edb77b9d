import { describeError } from '../../observability/log.ts'
import { backoffMs } from '../../storage/backoff.ts'
import type { Fetcher, FetchResult } from './client/fetcher.ts'
import type { Library } from './client/library.ts'
import { OffsetOutOfRangeError } from '../errors.ts'
import type { PartitionReader } from './partition-reader.ts'

/** How long a broker holds a request for which it has nothing. */
const longWaitMs = 250
/** The same while other partitions of that broker have room again at any moment: it serves one request after the other. */
const shortWaitMs = 25

/** Fetches for all readers of a subscription, from each broker with one request at a time for all partitions that have room. */
export class FetchPump {
  readonly #library: Library
  readonly #fetcher: Fetcher
  readonly #topic: string
  readonly #readers = new Map<number, PartitionReader>()
  readonly #busy = new Set<number>()
  readonly #ended = new AbortController()
  #failures = 0
  #turn = 0
  /** Set while nothing is fetched because the last request failed. */
  #pausing = false
  #looking = false

  constructor(library: Library, fetcher: Fetcher, topic: string) {
    this.#library = library
    this.#fetcher = fetcher
    this.#topic = topic
  }

  add(reader: PartitionReader): void {
    this.#readers.set(reader.partition, reader)
    this.pump()
  }

  remove(reader: PartitionReader): void {
    if (this.#readers.get(reader.partition) === reader) this.#readers.delete(reader.partition)
  }

  /** Looks for readers that have room, and starts fetching for them. */
  pump(): void {
    if (this.#looking || this.#pausing || this.#ended.signal.aborted) return
    this.#looking = true
    void this.#start()
  }

  /** How many partitions the topic has now. */
  async partitions(): Promise<number> {
    return (await this.#fetcher.leaders()).length
  }

  async close(): Promise<void> {
    this.#ended.abort()
    await this.#fetcher.close()
  }

  async #start(): Promise<void> {
    try {
      const leaders = await this.#fetcher.leaders()
      const nodes = [...Map.groupBy(this.#readers.values(), ({ partition }) => leaders[partition])]
      // Those that can be fetched from come first.
      nodes.sort(([a], [b]) => Number(a === undefined) - Number(b === undefined))
      for (const [node, readers] of nodes) {
        // One that has been added a moment ago, say.
        if (node === undefined) throw new Error(`a partition of ${this.#topic} has no known leader`)
        if (this.#busy.has(node)) continue
        const wanting = readers.filter((reader) => reader.request())
        if (wanting.length > 0) void this.#fetch(node, wanting, wanting.length === readers.length ? longWaitMs : shortWaitMs)
      }
    } catch (error) {
      void this.#pause(error)
    } finally {
      this.#looking = false
    }
  }

  async #fetch(node: number, readers: readonly PartitionReader[], maxWaitMs: number): Promise<void> {
    this.#busy.add(node)
    try {
      // A broker fills its answer in this order: everybody is the first one in turn.
      const first = this.#turn++ % readers.length
      const requests = [...readers.slice(first), ...readers.slice(0, first)].flatMap((reader) => reader.request() ?? [])
      const results = await this.#fetcher.fetch(node, requests, maxWaitMs)
      const byPartition = new Map(readers.map((reader) => [reader.partition, reader]))
      for (const result of results) {
        const reader = byPartition.get(result.partition)
        if (reader) this.#deliver(reader, result)
      }
      const failed = results.find((result) => result.failed !== undefined)
      if (failed) throw new Error(`partition ${failed.partition} of ${this.#topic}: ${failed.failed}`)
      this.#failures = 0
    } catch (error) {
      await this.#pause(error)
    } finally {
      this.#busy.delete(node)
      this.pump()
    }
  }

  #deliver(reader: PartitionReader, result: FetchResult): void {
    if (result.outOfRange) {
      const { partition, nextOffset } = result
      reader.fail(new OffsetOutOfRangeError(`partition ${partition} of ${this.#topic} has no offset ${nextOffset} (any more, or yet)`))
    } else if (result.failed === undefined) reader.add(result)
  }

  /** A broker that was restarted, a partition that has another leader: both are over soon, and until then nothing is asked for too often. */
  async #pause(error: unknown): Promise<void> {
    const { clock, random, log } = this.#library.environment
    if (this.#ended.signal.aborted) return
    this.#fetcher.forgetLeaders()
    this.#pausing = true
    const level = this.#failures === 3 ? 'warn' : 'debug'
    log(level, 'fetching from Kafka failed; it is tried again', { topic: this.#topic, error: describeError(error) })
    await clock.sleep(10 + backoffMs(this.#failures++, { firstMs: 20, maxMs: 1_000 }, random), this.#ended.signal)
    this.#pausing = false
    this.pump()
  }
}
