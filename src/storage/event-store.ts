import type { NewEvent, RecordedEvent } from '../message/event.ts'
import type { Environment } from '../observability/environment.ts'
import { environment } from '../observability/environment.ts'
import type { QueueLimits } from './commit-queue.ts'
import { CommitQueue, defaultQueueLimits } from './commit-queue.ts'
import { findStored, firstResult, withoutStored } from './duplicates.ts'
import type { Limits } from './encode.ts'
import { checkName, defaultLimits, encodeEvent } from './encode.ts'
import {
  CommandIdReusedError,
  ConditionFailedError,
  FencedError,
  InboxConflictError,
  InvalidEventError,
  VersionConflictError,
} from './errors.ts'
import { LogGapError } from './errors.ts'
import { patiently } from './patience.ts'
import type { LogFilter, LogRange, LogState, StorageDriver, Storage, StreamInfo } from './port.ts'
import type { AppendCondition, Committed, EncodedEvent, ExpectedVersion, Verdict, WriteSet } from './write-set.ts'

export interface EventStoreOptions extends Partial<Environment> {
  /** Whose events these are: the `source` of those that name none. Default: `'headwater'`. */
  readonly source?: string
  /** Whether to make or migrate the store's schema while opening it. Default: true, unless NODE_ENV is `production`. */
  readonly migrate?: boolean
  readonly limits?: Partial<Limits>
  readonly queue?: Partial<QueueLimits>
}

export interface AppendOptions {
  /** Default: `'any'`. */
  readonly expectedVersion?: ExpectedVersion
  /** Refuses the append if an event that matches came into the log after a position. */
  readonly condition?: AppendCondition
}

export interface AppendResult {
  /** Position of the last event: what a query waits for to see this append. */
  readonly position: number
  readonly firstPosition: number
  /** The stream's version after the append. */
  readonly version: number
  /** True when the events were there already: this is the result of the first append with the same ids. */
  readonly duplicate: boolean
}

export interface ReadStreamOptions {
  readonly fromVersion?: number
  readonly toVersion?: number
  /** Only events that happened at this time or before. */
  readonly until?: Date
  /** Default: forwards. */
  readonly direction?: 'forwards' | 'backwards'
  /** Default: all of them. */
  readonly limit?: number
  /** How many events are held at a time. Default: 1,000. */
  readonly pageSize?: number
}

export interface ReadLogOptions extends LogFilter {
  /** Default: 0, from the beginning. */
  readonly after?: number
  readonly upTo?: number
  readonly limit?: number
  readonly pageSize?: number
}

/**
 * The log of one store: streams of events in the order of their commits. Appends of all callers share transactions (group commit), each judged
 * for itself; an append is acknowledged when it is on disk.
 */
export class EventStore implements AsyncDisposable {
  readonly driver: StorageDriver
  readonly environment: Environment
  readonly source: string
  /** What one event, stream or call may hold. */
  readonly limits: Limits
  /** Sets with events are numbered one after another; the others need not wait for them. */
  readonly #ordered: CommitQueue
  readonly #unordered: CommitQueue
  readonly #retryForMs: number
  readonly #listeners = new Set<(position: number) => void>()

  private constructor(driver: StorageDriver, options: EventStoreOptions) {
    this.driver = driver
    this.environment = environment(options)
    this.source = options.source ?? 'headwater'
    this.limits = { ...defaultLimits, ...options.limits }
    checkName(this.source, 'source', this.limits)
    const queueLimits = { ...defaultQueueLimits, ...options.queue }
    this.#retryForMs = queueLimits.retryForMs
    this.#ordered = new CommitQueue(driver, this.environment, queueLimits, 1)
    const { parallelCommits } = driver.capabilities
    this.#unordered = parallelCommits > 0 ? new CommitQueue(driver, this.environment, queueLimits, parallelCommits) : this.#ordered
  }

  /** Connects, checks the database and its settings, and makes or migrates the schema if allowed to. */
  static async open(storage: Storage, options: EventStoreOptions = {}): Promise<EventStore> {
    const driver = await storage.open({ migrate: options.migrate ?? process.env['NODE_ENV'] !== 'production' })
    return new EventStore(driver, options)
  }

  /**
   * Appends events to a stream: all of them or none, durable and in the log when this resolves. Repeated with events of the same ids, it
   * returns the first result.
   * @throws VersionConflictError, ConditionFailedError, IdReusedError, InvalidEventError, StoreUnavailableError
   */
  async append(stream: string, events: NewEvent | readonly NewEvent[], options: AppendOptions = {}): Promise<AppendResult> {
    return this.appendAll([{ stream, events, expectedVersion: options.expectedVersion ?? 'any' }], options)
  }

  /** Appends to several streams in one transaction: all or nothing. `version` in the result is that of the first stream. */
  async appendAll(
    appends: readonly {
      readonly stream: string
      readonly events: NewEvent | readonly NewEvent[]
      readonly expectedVersion?: ExpectedVersion
    }[],
    options: { readonly condition?: AppendCondition } = {},
  ): Promise<AppendResult> {
    const set: WriteSet = {
      appends: appends.map(({ stream, events, expectedVersion = 'any' }) => ({
        stream,
        expectedVersion,
        events: (isArray(events) ? events : [events]).map((event) => this.encode(event)),
      })),
      ...(options.condition && { conditions: [options.condition] }),
    }
    const { position, firstPosition, versions, duplicate } = await this.commit(set)
    return { position, firstPosition, version: versions[0]!, duplicate }
  }

  /** The event checked and completed, with its id made: what is retried must be encoded once. */
  encode(event: NewEvent): EncodedEvent {
    return encodeEvent(event, { source: this.source, nowMs: this.environment.clock.now() }, this.limits)
  }

  /**
   * Commits a write set. Events that are stored already: with `duplicates: 'first-result'` (the default) the whole set must have been
   * committed before, and gets that result; with `'skip'` the appends that hold them are left out and the rest is committed.
   */
  async commit(
    set: WriteSet,
    { duplicates = 'first-result' }: { readonly duplicates?: 'first-result' | 'skip' } = {},
  ): Promise<Committed & { readonly duplicate: boolean }> {
    this.#check(set)
    const verdict = await this.#queueFor(set).commit(set)
    if (verdict.status === 'committed') {
      if (verdict.position > 0) this.#announce(set, verdict)
      return { ...verdict, duplicate: false }
    }
    this.environment.metrics.count('headwater_commit_refused_total', 1, { status: verdict.status })
    if (verdict.status !== 'duplicate-id') throw errorOf(verdict, set)
    // The acknowledgement may have been lost together with the connection: the answer is worth as much patience as the commit.
    const parts = { driver: this.driver, environment: this.environment, retryForMs: this.#retryForMs }
    const stored = await patiently(parts, 'look at the log', () => findStored(this.driver, set))
    if (duplicates === 'first-result') return { ...firstResult(set, stored), duplicate: true }
    const { appends, differing } = withoutStored(set, stored)
    if (differing.length > 0)
      this.environment.log('warn', 'events were emitted again with another content; those in the log stay', { eventIds: differing })
    return this.commit({ ...set, appends }, { duplicates })
  }

  /** The events of a stream, one page at a time. An unknown stream has none. */
  async *readStream(stream: string, options: ReadStreamOptions = {}): AsyncIterable<RecordedEvent> {
    const { direction = 'forwards', pageSize = 1_000, until } = options
    let { fromVersion, limit = Infinity } = options
    while (limit > 0) {
      const page = await this.driver.readStream({
        stream,
        direction,
        limit: Math.min(pageSize, limit),
        ...(fromVersion !== undefined && { fromVersion }),
        ...(options.toVersion !== undefined && { toVersion: options.toVersion }),
        ...(until && { untilMs: until.getTime() }),
      })
      yield* page
      if (page.length < pageSize) return
      limit -= page.length
      fromVersion = page.at(-1)!.version + (direction === 'forwards' ? 1 : -1)
      if (fromVersion < 1) return
    }
  }

  /** The log in commit order, filtered, one page at a time, up to its end as it is when the last page is read. */
  async *readLog(options: ReadLogOptions = {}): AsyncIterable<RecordedEvent> {
    const { after: start = 0, pageSize = 1_000, limit: maximum = Infinity, ...filter } = options
    let after = start
    let limit = maximum
    while (limit > 0) {
      const wanted = Math.min(pageSize, limit)
      const page = await this.readLogPage({ ...filter, after, limit: wanted })
      yield* page
      if (page.length < wanted) return
      limit -= page.length
      after = page.at(-1)!.position
    }
  }

  /**
   * One page of the log. Without a filter it is checked to be complete: position after position.
   * @throws LogGapError
   */
  async readLogPage(range: LogRange): Promise<readonly RecordedEvent[]> {
    const page = await this.driver.readLog(range)
    if (page.length > 0 && !isFiltered(range)) await this.#checkDense(range.after, page)
    return page
  }

  log(): Promise<LogState> {
    return this.driver.log()
  }

  /** Streams in name order. */
  async *streams(options: { readonly category?: string; readonly pageSize?: number } = {}): AsyncIterable<StreamInfo> {
    const { pageSize = 1_000, category } = options
    let after: string | undefined
    for (;;) {
      const page = await this.driver.listStreams({ limit: pageSize, ...(category && { category }), ...(after && { after }) })
      yield* page
      if (page.length < pageSize) return
      after = page.at(-1)!.stream
    }
  }

  /** Calls `listener` whenever this process has appended, with the last position. Returns how to stop. */
  onAppended(listener: (position: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Commits what is queued, then disconnects. */
  async close(): Promise<void> {
    await Promise.all([this.#ordered.close(), this.#unordered.close()])
    await this.driver.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #queueFor(set: WriteSet): CommitQueue {
    return set.appends.length > 0 ? this.#ordered : this.#unordered
  }

  #check(set: WriteSet): void {
    let count = 0
    const strict = new Map<string, boolean>()
    for (const { stream, expectedVersion, events } of set.appends) {
      checkName(stream, 'stream', this.limits)
      if (typeof expectedVersion === 'number' && !(Number.isSafeInteger(expectedVersion) && expectedVersion >= 0))
        throw new InvalidEventError(`expectedVersion must be a whole number from 0, not ${expectedVersion}`)
      if (events.length === 0 && typeof expectedVersion !== 'number') throw new InvalidEventError(`an append to ${stream} has no events`)
      const onlyAny = strict.get(stream)
      if (onlyAny !== undefined && !(onlyAny && expectedVersion === 'any'))
        throw new InvalidEventError(`the stream ${stream} stands twice in one append: put its events together, or expect 'any' in each`)
      strict.set(stream, expectedVersion === 'any')
      count += events.length
    }
    if (count > this.limits.maxEventsPerAppend)
      throw new InvalidEventError(`${count} events in one append, at most ${this.limits.maxEventsPerAppend} are allowed`)
    if (count < 2) return
    const ids = new Set<string>()
    for (const { events } of set.appends)
      for (const { id, source } of events) {
        if (ids.has(`${id}\n${source}`)) throw new InvalidEventError(`the event id ${id} stands twice in one append`)
        ids.add(`${id}\n${source}`)
      }
  }

  #announce(set: WriteSet, { position }: Committed): void {
    const count = set.appends.reduce((sum, { events }) => sum + events.length, 0)
    this.environment.metrics.count('headwater_events_appended_total', count)
    this.driver.announce(position)
    for (const listener of this.#listeners) listener(position)
  }

  async #checkDense(after: number, page: readonly RecordedEvent[]): Promise<void> {
    let expected = after + 1
    for (const { position } of page) {
      if (position !== expected) {
        const { firstPosition } = await this.log()
        if (expected >= firstPosition || position !== firstPosition) throw new LogGapError(expected, position)
      }
      expected = position + 1
    }
  }
}

function isArray(events: NewEvent | readonly NewEvent[]): events is readonly NewEvent[] {
  return Array.isArray(events)
}

function isFiltered({ types, categories, correlationId, query }: LogFilter): boolean {
  return types !== undefined || categories !== undefined || correlationId !== undefined || query !== undefined
}

function errorOf(verdict: Exclude<Verdict, Committed | { readonly status: 'duplicate-id' }>, set: WriteSet): Error {
  switch (verdict.status) {
    case 'version-conflict':
      return new VersionConflictError(verdict.stream, verdict.expected, verdict.actual)
    case 'condition-failed':
      return new ConditionFailedError(verdict.position)
    case 'in-inbox':
      return new InboxConflictError(set.inbox!.consumer)
    case 'receipt-exists':
      return new CommandIdReusedError(`the command ${set.receipt?.commandId} has been carried out already`)
    case 'fenced':
      return new FencedError(
        verdict.actualEpoch === set.checkpoint?.epoch
          ? `${set.checkpoint.processor} is beyond position ${set.checkpoint.position} already`
          : `${set.checkpoint?.processor} has been taken over: epoch ${set.checkpoint?.epoch} is over, now it is ${verdict.actualEpoch}`,
      )
  }
}
