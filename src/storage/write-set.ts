/**
 * The write set: everything that one piece of work changes in the store, judged and committed as a whole. It is plain data, so that many of
 * them can be committed in one transaction, retried after a lost acknowledgement, and put aside when one of them is bad.
 */

/**
 * What a stream must be like for an append to happen:
 * a number: exactly at this version (0: it has no events);
 * `'no-stream'`: without events; `'stream-exists'`: with at least one; `'any'`: whatever it is.
 */
export type ExpectedVersion = number | 'no-stream' | 'stream-exists' | 'any'

/** An event ready to be stored: checked, completed, its JSON already text. */
export interface EncodedEvent {
  readonly id: string
  readonly source: string
  readonly type: string
  readonly schemaVersion: number
  /** Milliseconds since 1970. */
  readonly timeMs: number
  readonly correlationId: string
  readonly causationId: string
  /** JSON text; stores keep it as it is, to the byte. */
  readonly data: string
  /** JSON text of an object, or null when it is empty. */
  readonly metadata: string | null
  readonly tags: readonly string[]
}

export interface StreamAppend {
  readonly stream: string
  readonly expectedVersion: ExpectedVersion
  /** At least one; none where only the stream's version is to be made sure of, which must then be a number. */
  readonly events: readonly EncodedEvent[]
}

/**
 * Events that match any of the items; an item matches an event that has one of its types, is in one of its streams and carries all of its
 * tags (each only where given). The form in which “dynamic consistency boundaries” are written.
 */
export interface EventQuery {
  readonly items: readonly EventQueryItem[]
}
export interface EventQueryItem {
  readonly types?: readonly string[]
  readonly streams?: readonly string[]
  readonly tags?: readonly string[]
}

/** No event that matches may come after this position. */
export interface AppendCondition {
  readonly query: EventQuery
  readonly after: number
}

/** Moves a processor's checkpoint, and proves by its epoch that the writer still owns the processor. */
export interface CheckpointMove {
  readonly processor: string
  readonly epoch: number
  readonly position: number
  /** What else must be known to go on from there, as text; it replaces what was kept with the checkpoint before. Default: nothing. */
  readonly state?: string | undefined
}

/** Messages that a consumer has finished, so that it can recognise them when they come again. */
export interface InboxEntries {
  readonly consumer: string
  /** Each at most once. */
  readonly messages: readonly MessageIdentity[]
}

/** What makes a message the same one, wherever and however often it appears. */
export interface MessageIdentity {
  readonly source: string
  readonly id: string
}

export interface DocumentWrite {
  /** Id of the collection. */
  readonly collection: string
  readonly key: string
  /** JSON text, or null to remove the document. */
  readonly document: string | null
  /** One value per indexed field of the collection, in its order, encoded by `encodeField`. */
  readonly fields: readonly string[]
  /** The words of the searchable fields, normalised and separated by blanks; null when the collection has none. */
  readonly words: string | null
}

/** The proof that a command has been carried out, committed with its effects. */
export interface Receipt {
  readonly commandId: string
  /** What handled it: a stream, or the name of a handler. */
  readonly target: string
  readonly payloadHash: string
  /** The target's version, should the command lead to no event. */
  readonly version: number
}

export interface SnapshotWrite {
  readonly stream: string
  /** Whose state it is: the aggregate's name. A stream may be folded by several. */
  readonly aggregate: string
  /** The version of the state's shape, as the aggregate declares it. */
  readonly schemaVersion: number
  /** The stream's version that it includes. A snapshot of an older version never replaces a newer one of the same shape. */
  readonly version: number
  /** JSON text. */
  readonly state: string
}

export interface WriteSet {
  /** A stream may stand here more than once only where every append to it says `'any'`. */
  readonly appends: readonly StreamAppend[]
  readonly conditions?: readonly AppendCondition[]
  readonly checkpoint?: CheckpointMove
  readonly inbox?: InboxEntries
  readonly documents?: readonly DocumentWrite[]
  readonly receipt?: Receipt
  readonly snapshots?: readonly SnapshotWrite[]
}

/** What became of a write set. Anything but `committed` means that nothing of it was written. */
export type Verdict =
  | Committed
  /** An append's expectation was not met. */
  | { readonly status: 'version-conflict'; readonly stream: string; readonly expected: ExpectedVersion; readonly actual: number }
  /** An event that a condition rules out is in the log, at this position. */
  | { readonly status: 'condition-failed'; readonly position: number }
  /** At least one event's (source, id) is in the log already. Looked for before versions and conditions. */
  | { readonly status: 'duplicate-id' }
  /** At least one of the messages is in the consumer's inbox already. Looked for before everything but the fence. */
  | { readonly status: 'in-inbox' }
  /** The command's receipt is in the store already. Looked for before everything but the fence and the inbox. */
  | { readonly status: 'receipt-exists' }
  /** The checkpoint's epoch is not the processor's any more (or the processor is unknown: 0), or its position is behind the processor's. */
  | { readonly status: 'fenced'; readonly actualEpoch: number }

export interface Committed {
  readonly status: 'committed'
  /** Position of the set's first event; its events stand behind each other. 0 when it has none. */
  readonly firstPosition: number
  /** Position of its last event; 0 when it has none. */
  readonly position: number
  /** The version of each append's stream after it, in the order of `appends`. */
  readonly versions: readonly number[]
}
