import type { Environment } from '../observability/environment.ts'
import { OverloadError, StorageError, StoreClosedError, StoreUnavailableError } from './errors.ts'
import { isAskedFor } from './event-query.ts'
import { patiently } from './patience.ts'
import type { StorageDriver } from './port.ts'
import type { EventQuery, StreamAppend, Verdict, WriteSet } from './write-set.ts'

export interface QueueLimits {
  /** Write sets that may wait. Default: 10,000. */
  readonly maxQueuedSets: number
  /** What happens to callers beyond it: they wait until they are let in, or get an `OverloadError` at once. Default: `'wait'`. */
  readonly whenFull: 'wait' | 'refuse'
  /** Of one transaction. Defaults: 1,000 sets, 5,000 events and documents, 4 MiB of JSON. A set that is larger by itself goes alone. */
  readonly maxBatchSets: number
  readonly maxBatchItems: number
  readonly maxBatchBytes: number
  /** How long a transaction that fails for a transient reason is tried again. Default: 30,000. */
  readonly retryForMs: number
}

export const defaultQueueLimits: QueueLimits = {
  maxQueuedSets: 10_000,
  whenFull: 'wait',
  maxBatchSets: 1_000,
  maxBatchItems: 5_000,
  maxBatchBytes: 4 * 1024 * 1024,
  retryForMs: 30_000,
}

interface Waiting {
  readonly set: WriteSet
  readonly size: { readonly items: number; readonly bytes: number }
  readonly resolve: (verdict: Verdict) => void
  readonly reject: (error: unknown) => void
}

/**
 * Group commit: write sets that arrive while a transaction is being flushed share the next one. There is no timer: a set that comes alone is
 * committed at once. Every set gets its own verdict; one that breaks its transaction is found by halving the batch and fails alone.
 */
export class CommitQueue {
  readonly #driver: StorageDriver
  readonly #environment: Environment
  readonly #limits: QueueLimits
  readonly #maxInFlight: number
  #queue: Waiting[] = []
  #admissions: (() => void)[] = []
  #inFlight = 0
  #scheduled = false
  #closed = false
  #whenIdle: (() => void)[] = []

  constructor(driver: StorageDriver, environment: Environment, limits: QueueLimits, maxInFlight: number) {
    this.#driver = driver
    this.#environment = environment
    this.#limits = limits
    this.#maxInFlight = maxInFlight
  }

  /**
   * The verdict on the set, once it and its neighbours are flushed. While the queue is full it waits first, or is refused.
   * @throws OverloadError, StoreUnavailableError, StorageError, StoreClosedError
   */
  async commit(set: WriteSet): Promise<Verdict> {
    while (!this.#closed && this.#queue.length >= this.#limits.maxQueuedSets) {
      // A processor that was refused would only begin again.
      if (this.#limits.whenFull === 'refuse' && !set.checkpoint) throw new OverloadError(this.#limits.maxQueuedSets)
      this.#environment.metrics.count('headwater_commit_queue_waits_total')
      await new Promise<void>((admit) => this.#admissions.push(admit))
    }
    if (this.#closed) throw new StoreClosedError()
    return new Promise((resolve, reject) => {
      this.#queue.push({ set, size: sizeOf(set), resolve, reject })
      this.#schedule()
    })
  }

  /** Lets what is queued be committed, and refuses what comes later. */
  async close(): Promise<void> {
    this.#closed = true
    for (const admit of this.#admissions.splice(0)) admit()
    if (this.#queue.length === 0 && this.#inFlight === 0) return
    await new Promise<void>((idle) => this.#whenIdle.push(idle))
  }

  // Not before the next turn of the event loop: everybody whom the last batch woke up has then asked for their next commit.
  #schedule(): void {
    if (this.#scheduled || this.#inFlight >= this.#maxInFlight || this.#queue.length === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      void this.#run(this.#take())
      this.#schedule()
    })
  }

  async #run(batch: readonly Waiting[]): Promise<void> {
    this.#inFlight++
    this.#environment.metrics.gauge('headwater_commit_queue_length', this.#queue.length)
    for (const admit of this.#admissions.splice(0, this.#limits.maxQueuedSets - this.#queue.length)) admit()
    await this.#commitOrSplit(batch)
    this.#inFlight--
    if (this.#queue.length > 0) this.#schedule()
    else if (this.#inFlight === 0) for (const idle of this.#whenIdle.splice(0)) idle()
  }

  /** The next batch: from the front of the queue, as many as fit and as do not depend on each other; those passed over keep their order. */
  #take(): readonly Waiting[] {
    const batch: Waiting[] = []
    const independence = new Independence()
    let items = 0
    let bytes = 0
    let index = 0
    const passedOver: Waiting[] = []
    for (; index < this.#queue.length && batch.length < this.#limits.maxBatchSets; index++) {
      const waiting = this.#queue[index]!
      const full = items + waiting.size.items > this.#limits.maxBatchItems || bytes + waiting.size.bytes > this.#limits.maxBatchBytes
      if (full && batch.length > 0) break
      if (!independence.admits(waiting.set)) {
        passedOver.push(waiting)
        continue
      }
      batch.push(waiting)
      items += waiting.size.items
      bytes += waiting.size.bytes
    }
    this.#queue = index === this.#queue.length ? passedOver : [...passedOver, ...this.#queue.slice(index)]
    return batch
  }

  async #commitOrSplit(batch: readonly Waiting[]): Promise<void> {
    let verdicts: readonly Verdict[]
    try {
      verdicts = await this.#commitWithRetries(batch.map((waiting) => waiting.set))
    } catch (error) {
      if (batch.length === 1 || error instanceof StoreUnavailableError) {
        for (const waiting of batch) waiting.reject(error)
        return
      }
      this.#environment.metrics.count('headwater_commit_bisections_total')
      const half = batch.length >> 1
      await this.#commitOrSplit(batch.slice(0, half))
      await this.#commitOrSplit(batch.slice(half))
      return
    }
    for (const [index, waiting] of batch.entries()) waiting.resolve(verdicts[index]!)
  }

  async #commitWithRetries(sets: readonly WriteSet[]): Promise<readonly Verdict[]> {
    const { metrics } = this.#environment
    const parts = { driver: this.#driver, environment: this.#environment, retryForMs: this.#limits.retryForMs }
    try {
      return await patiently(parts, 'commit', async () => {
        const sentMs = performance.now()
        const verdicts = await this.#driver.commit(sets)
        metrics.duration('headwater_commit_duration_ms', performance.now() - sentMs)
        metrics.count('headwater_commit_batches_total')
        metrics.count('headwater_commit_sets_total', sets.length)
        return verdicts
      })
    } catch (error) {
      if (error instanceof StoreClosedError || error instanceof StoreUnavailableError) throw error
      const reason = error instanceof Error ? error.message : String(error)
      throw new StorageError(`the database refused a commit: ${reason}`, { cause: error })
    }
  }
}

function sizeOf(set: WriteSet): { readonly items: number; readonly bytes: number } {
  let items = 1
  let bytes = 0
  for (const append of set.appends) {
    items += append.events.length
    for (const event of append.events) bytes += event.data.length
  }
  for (const write of set.documents ?? []) {
    items++
    bytes += write.document?.length ?? 0
  }
  items += set.inbox?.messages.length ?? 0
  return { items, bytes }
}

/** Tells whether a set can be judged without regard to those already in the batch, which are numbered before it. */
class Independence {
  /** True where every append so far says `'any'`. */
  readonly #streams = new Map<string, boolean>()
  readonly #names = new Set<string>()
  readonly #appends: StreamAppend[] = []

  admits(set: WriteSet): boolean {
    const names = [...uniqueNames(set)]
    if (names.some((name) => this.#names.has(name))) return false
    for (const { stream, expectedVersion } of set.appends) {
      const onlyAny = this.#streams.get(stream)
      if (onlyAny !== undefined && !(onlyAny && expectedVersion === 'any')) return false
    }
    if (set.conditions?.some(({ query }) => this.#holds(query))) return false
    for (const name of names) this.#names.add(name)
    for (const { stream, expectedVersion } of set.appends)
      this.#streams.set(stream, (this.#streams.get(stream) ?? true) && expectedVersion === 'any')
    this.#appends.push(...set.appends)
    return true
  }

  #holds(query: EventQuery): boolean {
    return this.#appends.some(({ stream, events }) => events.some((event) => isAskedFor(query, stream, event)))
  }
}

/** What may occur in one set of a batch only. */
function* uniqueNames(set: WriteSet): Iterable<string> {
  for (const { events } of set.appends) for (const { id, source } of events) yield `${id}\n${source}`
  if (set.receipt) yield `command\n${set.receipt.commandId}`
  if (set.inbox) yield `inbox\n${set.inbox.consumer}`
  if (set.checkpoint) yield `processor\n${set.checkpoint.processor}`
  for (const { collection, key } of set.documents ?? []) yield `document\n${collection}\n${key}`
  for (const { stream, aggregate } of set.snapshots ?? []) yield `snapshot\n${aggregate}\n${stream}`
}
