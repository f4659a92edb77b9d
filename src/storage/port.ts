import type { RecordedEvent } from '../message/event.ts'
import type { DocumentStore } from './document-port.ts'
import type { CheckpointMove, EncodedEvent, EventQuery, MessageIdentity, Receipt, Verdict, WriteSet } from './write-set.ts'

/**
 * What a database must do to be Headwater's store. The core brings order to what callers want (validation, group commit, retries, paging);
 * a driver keeps it. The suite in `headwater/conformance` holds each driver to every promise made here.
 *
 * Every method rejects with whatever its client throws; `isTransient` says what the core may do about it.
 */
export interface StorageDriver {
  readonly capabilities: StorageCapabilities

  /**
   * Commits the sets in their order in one transaction, flushed to disk before it resolves, each judged by itself: one verdict a set, in
   * order. A set that is refused leaves no trace and does not touch the others.
   *
   * The caller sees to it that no two sets of a call depend on each other: a stream stands in one set only, unless all its appends say
   * `'any'`; no event id, command id, processor or consumer of an inbox stands in two; no set has a condition on the events of one before it.
   *
   * Positions are dense and in commit order over all processes: sets with events are numbered under one lock that is taken before anything
   * is read. Rejects only for reasons that concern the whole call; then nothing is committed, or the acknowledgement was lost.
   */
  commit(sets: readonly WriteSet[]): Promise<readonly Verdict[]>

  /** Worth another try with the same sets: the connection broke, a lock was not to be had in time. */
  isTransient(error: unknown): boolean

  /** The events of a stream, in `direction`, at most `limit`; bounds are inclusive. An unknown stream has none. */
  readStream(range: StreamRange): Promise<readonly RecordedEvent[]>

  /** Events after `after` and up to `upTo` in log order, at most `limit`, that pass the filter. */
  readLog(range: LogRange): Promise<readonly RecordedEvent[]>

  /** The stored events with these identities, in no particular order; unknown ones are left out. */
  findEvents(identities: readonly MessageIdentity[]): Promise<readonly RecordedEvent[]>

  /** A usable snapshot of the stream, if asked for and there is one, and the events after it (at most `limit`), in one round trip. */
  loadStream(load: StreamLoad): Promise<LoadedStream>

  findReceipt(commandId: string): Promise<StoredReceipt | undefined>

  log(): Promise<LogState>

  /** Streams in name order after `after`, with their last version and position. */
  listStreams(page: { readonly category?: string; readonly after?: string; readonly limit: number }): Promise<readonly StreamInfo[]>

  readonly documents: DocumentStore
  readonly inbox: Inbox
  readonly processors: ProcessorStore
  /** Where transactions that are not the store's own leave events for the log; undefined where a database cannot offer that. */
  readonly staging?: Staging

  /**
   * A transaction for code that brings its own SQL: a SQL projection. Commits when `work` resolves, rolls back when it rejects. It does not
   * take the log's lock and cannot append. A checkpoint that is fenced must make `work` reject.
   */
  transaction<T>(work: (transaction: SqlTransaction) => Promise<T>): Promise<T>

  /**
   * Calls `onCommit` soon after another process has committed events (and perhaps when nobody has): a hint, never a promise; the core polls as
   * well. Returns how to stop.
   */
  listen(onCommit: () => void): Promise<() => Promise<void>>

  /**
   * Tells other processes that events were committed. Coalesced by the driver, never inside anybody's transaction, and never awaited by an
   * append.
   */
  announce(position: number): void

  close(): Promise<void>
}

export interface StorageCapabilities {
  /** For messages: `'sqlite'`, `'postgres'`. */
  readonly name: string
  /** How many batches of sets without events may be committed beside each other and beside those with events; 0: all share one queue. */
  readonly parallelCommits: number
  /** Whether user code may bring SQL of its own (`transaction`), and in which dialect. */
  readonly sql: 'sqlite' | 'postgres' | false
}

export interface StreamRange {
  readonly stream: string
  /** Default: the first (forwards) or last (backwards) version. */
  readonly fromVersion?: number
  readonly toVersion?: number
  /** Only events whose time is at or before this one, in milliseconds since 1970. */
  readonly untilMs?: number
  readonly direction: 'forwards' | 'backwards'
  readonly limit: number
}

export interface LogFilter {
  readonly types?: readonly string[]
  /** The part of the stream's name before its first `:`. */
  readonly categories?: readonly string[]
  readonly correlationId?: string
  readonly query?: EventQuery
}

export interface LogRange extends LogFilter {
  readonly after: number
  readonly upTo?: number
  readonly limit: number
}

export interface StreamLoad {
  readonly stream: string
  /** Take the snapshot of this aggregate, if its shape is of this version. */
  readonly snapshot?: { readonly aggregate: string; readonly schemaVersion: number }
  readonly limit: number
}

export interface LoadedStream {
  readonly snapshot: { readonly version: number; readonly state: unknown } | undefined
  readonly events: readonly RecordedEvent[]
}

export interface StoredReceipt extends Receipt {
  /** Position of the first and last event of the command; equal to the log's head at that time when it had none. */
  readonly firstPosition: number
  readonly position: number
  /** How many events it led to. */
  readonly eventCount: number
}

export interface LogState {
  /** Made when the store was made: positions and checkpoints of different logs must not be mixed. */
  readonly id: string
  /** The last position; 0 when the log is empty. */
  readonly head: number
  /** The first position that is still there: 1, until old history is archived. */
  readonly firstPosition: number
}

export interface StreamInfo {
  readonly stream: string
  readonly version: number
  readonly position: number
}

/** What consumers have finished: entries are made by write sets. */
export interface Inbox {
  /** Those of the messages that the consumer has finished, in no particular order. */
  find(consumer: string, messages: readonly MessageIdentity[]): Promise<readonly MessageIdentity[]>
  /** Forgets at most `limit` entries of the consumer that were made before this time, in milliseconds since 1970, or all with `Infinity`; returns how many. */
  forget(request: { readonly consumer: string; readonly beforeMs: number; readonly limit: number }): Promise<number>
}

/** Who runs which processor, how far it is, and the epoch that fences off those who did before. Lease times are the database's own. */
export interface ProcessorStore {
  /**
   * Takes the processor for `owner` if nobody holds it: the lease is new, expired, or already the owner's; with `takesOver` also if somebody does, because a
   * broker has given the work to this process. Each successful claim raises the epoch, so that whatever an earlier owner still tries to write is
   * refused. A processor that does not exist begins at `startAt`.
   */
  claim(claim: {
    readonly processor: string
    readonly owner: string
    readonly ttlMs: number
    readonly startAt: number
    readonly takesOver?: boolean
  }): Promise<Claim>

  /** Prolongs the leases that are still the owner's with the epoch given; returns the names of those. */
  renew(renewal: {
    readonly owner: string
    readonly ttlMs: number
    readonly held: readonly { readonly processor: string; readonly epoch: number }[]
  }): Promise<readonly string[]>

  /** Gives the leases back at once, so that a standby need not wait for them to expire. */
  release(release: { readonly owner: string; readonly processors: readonly string[] }): Promise<void>

  /** Notes why the processor stands still, or null when it runs again, for operators to see. Ignored when the epoch is not current. */
  report(report: { readonly processor: string; readonly epoch: number; readonly failure: string | null }): Promise<void>

  /**
   * Puts checkpoints somewhere else, all of them or none: each without a state and without a failure, under a new epoch and with its lease free, so that whoever runs
   * the processor starts again from there. One that does not exist is left out.
   */
  reset(...resets: readonly ProcessorReset[]): Promise<void>

  remove(processor: string): Promise<void>

  list(): Promise<readonly ProcessorInfo[]>
}

export interface ProcessorReset {
  readonly processor: string
  readonly position: number
}

export type Claim =
  | {
      readonly claimed: true
      readonly epoch: number
      readonly position: number
      /** What was kept with the checkpoint. */
      readonly state: string | undefined
      /** True when the last owner did not give its lease back: it has probably died. */
      readonly abandoned: boolean
    }
  | { readonly claimed: false; readonly owner: string; readonly expiresInMs: number }

export interface ProcessorInfo {
  readonly processor: string
  readonly position: number
  readonly epoch: number
  /** Undefined when nobody holds the lease now. */
  readonly owner: string | undefined
  readonly failure: string | undefined
  /** When the checkpoint last moved, in milliseconds since 1970. */
  readonly movedAtMs: number
}

export interface SqlTransaction {
  query<Row = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Row[] }>
  /** False when the epoch is not the processor's any more, or the checkpoint is further already: then the work must not be committed. */
  moveCheckpoint(move: CheckpointMove): Promise<boolean>
}

/**
 * Events that users' transactions have left for the log, in an order that agrees with that of their commits wherever one of them waited for
 * another. Whoever holds the lease on `processor` moves them: page by page, each committed in a write set whose checkpoint has the page's
 * cursor as its state.
 */
export interface Staging {
  /** The name under whose lease and checkpoint events are moved. */
  readonly processor: string
  /**
   * The committed events after the processor's checkpoint, at most `limit`; without one, all that is still there, of which some may be in the
   * log. An open transaction keeps back its own events and nobody else's.
   */
  read(limit: number): Promise<StagedPage>
  /**
   * Gives back the space of what is in the log, according to the processor's checkpoint, as far as that can be done without waiting for
   * anybody. False while there is something left.
   */
  rotate(): Promise<boolean>
}

export interface StagedPage {
  readonly events: readonly StagedEvent[]
  /** Behind the last of the events, to be committed with them, and also where it turns out that there are none; undefined when it stays as it is. */
  readonly cursor: string | undefined
  /** True when more is known to be there. */
  readonly hasMore: boolean
}

export interface StagedEvent {
  readonly stream: string
  readonly event: EncodedEvent
}

/** A store that is not opened yet: what `sqlite(path)` and `postgres(url)` return. */
export interface Storage {
  readonly name: string
  /**
   * Connects and checks: the server's version and settings, the store's schema (made or migrated when `migrate` is true, else refused with
   * the command that does it when it is too old; refused when it has become too new for this program).
   */
  open(options: { readonly migrate: boolean }): Promise<StorageDriver>
}
