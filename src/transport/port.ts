import type { Environment } from '../observability/environment.ts'

/**
 * What a broker must do to carry Headwater's messages. The core decides what is sent, what is a duplicate, what is tried again and what is put
 * aside; an adapter moves bytes in order and loses none. The suite in `headwater/conformance` holds each adapter to every promise made here.
 */
export interface Transport {
  /** For messages: `'kafka'`, `'rabbitmq'`, `'nats'`, `'sqs'`. */
  readonly name: string
  /**
   * Connects and checks the server's version. A server that cannot be reached is an error here; one that goes away later is waited for, with backoff, for
   * as long as the connection is open.
   * @throws TransportUnavailableError, UnsupportedBrokerError, MissingPackageError
   */
  connect(options: ConnectOptions): Promise<TransportConnection>
}

export interface ConnectOptions {
  /** Clock, log, metrics and randomness. */
  readonly environment: Environment
  /** How the connection names itself to the broker: the service's name. */
  readonly clientName: string
}

export interface TransportConnection {
  readonly capabilities: TransportCapabilities

  /**
   * Makes the topic where it is missing, and checks one that is there.
   * @throws TopicMismatchError when it is there with other settings than these, of those that were given
   */
  ensureTopic(topic: TopicSpec): Promise<void>

  /**
   * Makes what a group needs so that it misses nothing from now on, where the broker keeps messages only for those that asked before: a queue and its binding, a
   * durable consumer. Nothing where the broker keeps its messages for everybody.
   * @throws UnknownTopicError
   */
  ensureGroup(topic: string, group: string, startAt: StartAt): Promise<void>

  /**
   * Sends the messages. Resolves when the broker has confirmed each of them, as durably as it can, or has refused it: an outcome a message, in their order.
   * Messages of one key are kept in the order in which they were given, also over several calls that overlap, and also when some had to be sent again;
   * what comes behind a message that was refused is sent. A message that could not be confirmed in time (`publishTimeoutMs` of the adapter) may
   * have been written all the same, and then those behind it of its key are not sent either, those of later calls included that were made before this one
   * resolved; consumers recognise repetitions by `id`.
   * @throws TransportClosedError
   */
  publish(topic: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]>

  /**
   * Takes part in the consumption of a topic by a group, of which each message is given to one member only. Calls `run` for each partition that this
   * process is to consume (a topic without partitions counts as one), and again when it gets one back; `run` returns when it has finished, at the latest soon after
   * `partition.revoked` is aborted, and until then (at most `releaseTimeoutMs`) nobody else is given the partition where the adapter can help it.
   * A `run` that rejects is called again, with backoff.
   * @throws UnknownTopicError, UnsupportedByTransportError
   */
  subscribe(subscription: SubscriptionOptions): Promise<Subscription>

  /**
   * Puts a group somewhere else in its topic, back or forward, whatever it has acknowledged; one that is new is made there. A time at which nothing has come yet
   * is the end. Other groups stay where they are.
   *
   * Where offsets are the consumer's, it resolves to a place for each partition, in their order from partition 0 on, from which the consumer then reads; the broker keeps
   * nothing of it but its figures, and members may go on meanwhile (or be given their partitions anew). Where the broker knows what a group has finished,
   * it resolves to one place for all, and nobody may be consuming: what a member holds at that moment could be lost to the group, or come out of order.
   * @throws UnknownTopicError, UnsupportedByTransportError where the transport keeps no history, or knows no such place
   */
  resetGroup(topic: string, group: string, startAt: StartAt): Promise<readonly GroupPlace[]>

  /** How much the group has not acknowledged yet. */
  lag(topic: string, group: string): Promise<readonly PartitionLag[]>

  /** Where the broker itself may put messages of a group aside. Undefined where it never does. */
  readonly deadLetters?: BrokerDeadLetters

  /** Sends what is being sent, ends subscriptions, disconnects. */
  close(): Promise<void>
}

/** What a broker has put aside by itself, of which Headwater knows nothing: messages that ended each process that got them. */
export interface BrokerDeadLetters {
  /** How many messages are put aside, as well as the broker can tell. @throws UnknownTopicError for a group of which nothing is put aside, ever */
  count(topic: string, group: string): Promise<number>
  /**
   * Has them given to the group again, at most `perSecond` (default: as fast as the broker likes), and resolves when that has begun. They come as new ones, behind
   * whatever came meanwhile of their key. One move at a time.
   * @throws UnknownTopicError
   */
  moveBack(topic: string, group: string, options?: { readonly perSecond?: number }): Promise<void>
  /** The last moves that the broker remembers, the newest first. @throws UnknownTopicError */
  moves(topic: string, group: string): Promise<readonly BrokerMove[]>
  /** Stops the move that is running, and says whether there was one. What was moved stays so. @throws UnknownTopicError */
  cancelMove(topic: string, group: string): Promise<boolean>
}

/** The broker's own work that brings messages back. */
export interface BrokerMove {
  readonly state: 'running' | 'completed' | 'cancelling' | 'cancelled' | 'failed'
  /** About so many were moved, and about so many there were when it began. */
  readonly moved: number
  readonly total: number
  readonly startedMs: number
  /** Why it failed. */
  readonly failure: string | undefined
}

export interface TransportCapabilities {
  readonly name: string
  /**
   * `'partition'`: the broker gives each partition to one process of a group; offsets are the consumer's to keep. `'queue'`: one queue a group, from which every
   * process that subscribes gets some messages, and which keeps their order only while one process consumes. `'group'`: the same, but
   * the broker itself gives out no message of a key while another one of it is unfinished. `'none'`: no order.
   */
  readonly ordering: 'partition' | 'queue' | 'group' | 'none'
  /** Where a group can begin, or be put back to. */
  readonly startAt: readonly StartAt['at'][]
  /** Of one message, with its headers. Larger ones are refused before they are sent. */
  readonly maxMessageBytes: number
  /** True when the broker itself drops a message whose id it has seen not long ago. */
  readonly deduplicates: boolean
  readonly priorities: boolean
  /** How long the giving out of a message can be put off, in milliseconds. 0: not at all. */
  readonly maxDelayMs: number
}

/** Where a group begins that has not consumed anything yet, or is put back to. */
export type StartAt =
  | { readonly at: 'beginning' }
  | { readonly at: 'end' }
  /** The first message that came at this time or later, in milliseconds since 1970. */
  | { readonly at: 'time'; readonly timeMs: number }

export interface TopicSpec {
  readonly name: string
  /** Where the broker has partitions. Default: what the broker does by default. */
  readonly partitions?: number
  /** How long messages are kept. Default: what the broker does by default. */
  readonly retentionMs?: number
  /** What only this broker knows, in its own words. */
  readonly settings?: Readonly<Record<string, string>>
}

export type Priority = 'high' | 'normal' | 'low'

/** A message as it goes over the wire. */
export interface WireMessage {
  /** Messages of one key are kept in order. Undefined: of no key. */
  readonly key: string | undefined
  /**
   * The attributes of a CloudEvent in binary mode, without any prefix: each adapter writes and reads them as the protocol binding of its broker says. Empty when
   * the message is no CloudEvent, or one in structured mode, whose body holds them.
   */
  readonly attributes: Readonly<Record<string, string>>
  /** All other headers. `content-type` says what the body is. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface OutgoingMessage extends WireMessage {
  /** Made before the first try to send it: by it brokers and consumers recognise repetitions. */
  readonly id: string
  /** Default: `'normal'`. Without effect where the broker knows none. */
  readonly priority?: Priority
  /**
   * Given out no sooner than so many milliseconds after it was sent, and out of order with all others of its key. More than the transport's `maxDelayMs` is
   * refused. Default: 0.
   */
  readonly delayMs?: number
}

export type PublishOutcome =
  | { readonly ok: true }
  /** `refused`: the broker, or the adapter, will not take it as it is, ever. Otherwise it can be tried again. */
  | { readonly ok: false; readonly refused: boolean; readonly error: Error }

export interface ReceivedMessage extends WireMessage {
  /**
   * The producer's, or where it gave none, one that the broker made and that is the same at each delivery; undefined where there is neither. Never made from
   * the content: two equal messages are two.
   */
  readonly id: string | undefined
  readonly topic: string
  /** Undefined where the broker has no partitions. */
  readonly partition: number | undefined
  /** Grows within its partition, without being dense; undefined where the broker counts nothing. */
  readonly offset: number | undefined
  /** When the broker got it, in milliseconds since 1970, where it says so. */
  readonly timeMs: number | undefined
}

export interface SubscriptionOptions {
  readonly topic: string
  readonly group: string
  /** For a group that is new. */
  readonly startAt: StartAt
  /** The adapter holds at most so many messages, and about so many bytes, of each partition that were not read or (where it acknowledges) not acknowledged yet. */
  readonly maxMessages: number
  readonly maxBytes: number
  /**
   * True when the caller sees to it that nobody else consumes for the group now, to keep its order. Where the broker may not have noticed yet that a former
   * consumer is gone, `run` is not called before what that one held is back in its place, or the broker has had its time to notice. Default: false.
   */
  readonly isAlone?: boolean
  /** How long a partition that is taken away waits for `run`. */
  readonly releaseTimeoutMs: number
  run(partition: Partition): Promise<void>
}

export interface Subscription {
  /** Takes no more messages, lets each `run` finish, leaves the group. */
  close(): Promise<void>
}

/** What one process consumes of a topic, for as long as it may. */
export interface Partition {
  readonly topic: string
  readonly number: number | undefined
  /** Aborted when the partition is taken away, or the subscription is closed. */
  readonly revoked: AbortSignal

  /**
   * Messages in their order, in batches as they come, for ever; it ends when `revoked` is aborted. `after` is the offset of the last message that is
   * finished, where the broker counts them, or -1 to read from the first of all; without it the partition is read from `startAt`. An offset that is no longer kept is an error, since
   * messages have been lost.
   * @throws OffsetOutOfRangeError
   */
  read(after?: number): AsyncIterable<readonly ReceivedMessage[]>

  /**
   * These messages are finished and need never be given to this group again. Where offsets are the consumer's, only the last one matters: it says so to the broker for
   * its figures. A failure is not an error: the messages come again.
   */
  acknowledge(messages: readonly ReceivedMessage[]): Promise<void>

  /** These messages were not finished: give them to somebody, soon. Where offsets are the consumer's, nothing happens. */
  release(messages: readonly ReceivedMessage[]): Promise<void>
}

/** Where a group goes on. */
export interface GroupPlace {
  /** Undefined where the broker has no partitions. */
  readonly partition: number | undefined
  /** The last offset that counts as finished: to be given to `Partition.read`. -1 before the first of all. Undefined where it is the broker that knows. */
  readonly after: number | undefined
  /** How many messages are there from this place on, as well as the broker can tell. */
  readonly messages: number
}

export interface PartitionLag {
  readonly partition: number | undefined
  /** Messages that the group has not acknowledged. */
  readonly messages: number
}
