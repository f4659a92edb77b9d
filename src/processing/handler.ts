import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyCommand, CommandBase } from '../message/command.ts'
import type { AnyEvent, New, Recorded, RecordedEvent } from '../message/event.ts'
import type { SendResult } from '../message/outcome.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { CircuitBreaker } from './circuit-breaker.ts'
import { Breaker } from './circuit-breaker.ts'
import type { Delivery, LaneOptions, WhenExhausted } from './lane-options.ts'
import type { RetryTopicsOptions } from './retry-topics.ts'
import { retryDelaysMs } from './retry-topics.ts'
import type { RetryOptions } from './retry.ts'
import { retryPolicy } from './retry.ts'
import type { StartPosition } from './start-position.ts'

export type OneOrMany<T> = T | readonly T[]

export interface HandlerContext<Emits extends AnyEvent, Sends extends AnyCommand> {
  /** Stored together with this handler's checkpoint: exactly once, whatever happens in between. */
  emit(...events: [Emits] extends [never] ? ['this handler declares no `emits`'] : readonly New<Emits>[]): void
  /**
   * Carries out a command of this service, and gives its outcome. Its id follows from the event and from how many the handler has sent for it, so
   * that a handler that is tried again gets the outcome of the first time.
   */
  send<Type extends Sends['type'], Data, Code extends string, Input>(
    command: CommandBase<Type, Data, Code, Input>,
    data: NoInfer<Input>,
  ): Promise<SendResult<Code>>
  /** The same for every attempt at this event: pass it on to what is outside, so that a repeated effect is recognised there. */
  readonly idempotencyKey: string
  /** Aborted when the handler should give up: its time is over, the process stops, or has lost its lease. */
  readonly signal: AbortSignal
  /** 1, 2, 3 …; goes on counting after a restart. */
  readonly attempt: number
}

/** What a handler is on, what it may do, and what becomes of what it cannot handle. */
export type HandlerOptions<On extends AnyEvent, Emits extends AnyEvent, Sends extends AnyCommand> = HandlerBasics<On, Emits, Sends> &
  (FailureOptions | RetryTopicsFailureOptions)

export interface HandlerBasics<On extends AnyEvent, Emits extends AnyEvent, Sends extends AnyCommand> {
  readonly on: OneOrMany<On>
  /** The events that it may emit; others are refused by the compiler. */
  readonly emits?: OneOrMany<Emits>
  readonly sends?: OneOrMany<Sends>
  /** Where it begins when it is new. Default: with the first event; with what comes from now on where a transport keeps no history. */
  readonly startAt?: StartPosition
  /** The stream of what it emits. Default: `<name>:<id>`, with the id of the stream of the event at hand. */
  readonly stream?: (event: Recorded<On>) => string
  /** Events of one key are handled one after another, in order; those of different keys beside each other. Default: the event's stream. */
  readonly key?: (event: Recorded<On>) => string
  /**
   * Splits the events of the log by key among so many processors, which the processes of a service share evenly: for handlers that keep more than one
   * processor core busy. Fixed for ever once the handler has run. A topic has its partitions instead. Default: 1.
   */
  readonly shards?: number
  /** So many events are handled at the same time, at most; in each shard, and in each partition of a topic. Default: 16. */
  readonly concurrency?: number
  /** How long one attempt may take; then `signal` is aborted and the attempt has failed. Default: 30,000. */
  readonly timeoutMs?: number
  /** While what the handler depends on fails, it is not called. Handlers that depend on the same thing share one. */
  readonly breaker?: CircuitBreaker
}

/** Failed events wait in the store, which keeps their order. */
export interface FailureOptions {
  /** How often and when a failed event is tried again. */
  readonly retry?: RetryOptions
  /** Default: `'park'`. */
  readonly whenExhausted?: Exclude<WhenExhausted, 'retry-topics'>
  /** Default: `'exactly-once'`, in the store; what is outside needs `idempotencyKey` for that. */
  readonly delivery?: Delivery
  readonly retryTopics?: never
}

/**
 * Failed events wait in topics of the broker, one for each delay, while later events of their key go on: **their order is given up**. An event goes to the first
 * one after its first failure, and is tried once in each. Only for a handler whose events all come from topics that its service subscribes to.
 */
export interface RetryTopicsFailureOptions {
  readonly whenExhausted: 'retry-topics'
  readonly retryTopics?: RetryTopicsOptions
  /** How often and when is said by `retryTopics`. */
  readonly retry?: Pick<RetryOptions, 'isPermanent'>
  /** As without retry topics. */
  readonly delivery?: Exclude<Delivery, 'at-most-once'>
}

export interface Handler<
  Name extends string = string,
  On extends AnyEvent = AnyEvent,
  Emits extends AnyEvent = AnyEvent,
  Sends extends AnyCommand = AnyCommand,
> {
  readonly kind: 'handler'
  readonly name: Name
  readonly on: readonly On[]
  readonly emits: readonly Emits[]
  readonly sends: readonly Sends[]
  readonly startAt: StartPosition | undefined
  readonly shards: number
  readonly lanes: LaneOptions
  stream(event: never): string | undefined
  handle(event: never, context: never): void | Promise<void>
}
// oxlint-disable-next-line typescript/no-explicit-any -- "some handler", whatever its messages
export type AnyHandler = Handler<string, any, any, any>

/**
 * Code that reacts to events. Its name is that of its checkpoint: it has seen everything up to there, and it goes on from there whatever the
 * constant is called. A handler that is added later begins with the oldest event unless `startAt` says otherwise.
 * @throws InvalidDefinitionError
 */
export function defineHandler<
  const Name extends string,
  On extends AnyEvent,
  Emits extends AnyEvent = never,
  Sends extends AnyCommand = never,
>(
  name: Name,
  options: HandlerOptions<On, Emits, Sends>,
  handle: (event: Recorded<On>, context: HandlerContext<Emits, Sends>) => void | Promise<void>,
): Handler<Name, On, Emits, Sends> {
  const on = many(options.on)
  if (on.length === 0) throw new InvalidDefinitionError(`the handler ${name} is on no event`)
  return {
    kind: 'handler',
    name,
    on,
    emits: many(options.emits),
    sends: many(options.sends),
    startAt: options.startAt,
    shards: shardsOf(name, options.shards),
    lanes: laneOptions(name, on, options),
    stream: (event: never) => options.stream?.(event),
    handle,
  }
}

function shardsOf(name: string, shards = 1): number {
  if (Number.isSafeInteger(shards) && shards >= 1 && shards <= 1_000) return shards
  throw new InvalidDefinitionError(`the handler ${name}: shards must be a whole number from 1 to 1,000, not ${shards}`)
}

function laneOptions<On extends AnyEvent>(name: string, on: readonly On[], options: HandlerOptions<On, AnyEvent, AnyCommand>): LaneOptions {
  const { key, concurrency = 16, timeoutMs = 30_000, retry, whenExhausted = 'park', retryTopics, delivery, breaker } = options
  if (!Number.isSafeInteger(concurrency) || concurrency < 1)
    throw new InvalidDefinitionError(`the handler ${name}: concurrency must be a whole number from 1, not ${concurrency}`)
  if (!(timeoutMs > 0)) throw new InvalidDefinitionError(`the handler ${name}: timeoutMs must be above 0, not ${timeoutMs}`)
  if (breaker && !(breaker instanceof Breaker))
    throw new InvalidDefinitionError(`the handler ${name}: breaker is none that defineCircuitBreaker has made`)
  if (retryTopics && whenExhausted !== 'retry-topics')
    throw new InvalidDefinitionError(`the handler ${name}: retryTopics has no effect unless whenExhausted is 'retry-topics'`)
  if (whenExhausted === 'retry-topics' && delivery === 'at-most-once')
    throw new InvalidDefinitionError(`the handler ${name}: what is delivered at most once is never tried again, so it has no retry topics`)
  return {
    keyOf: keyFunction(on, key),
    concurrency,
    timeoutMs,
    retry: retryPolicy(retry),
    whenExhausted,
    retryDelaysMs: whenExhausted === 'retry-topics' ? retryDelaysMs(name, retryTopics) : [],
    atMostOnce: delivery === 'at-most-once',
    remembers: delivery !== 'at-least-once',
    breaker,
  }
}

/** Of an event as its current version, like everything that a handler sees. One that cannot be read fails when it is handled. */
function keyFunction<On extends AnyEvent>(on: readonly On[], key: ((event: Recorded<On>) => string) | undefined): LaneOptions['keyOf'] {
  if (!key) return ({ stream }) => stream
  const definitions = Object.fromEntries(on.map((definition) => [definition.type, definition]))
  return (event: RecordedEvent) => {
    try {
      return key(decodeEvent(definitions, event, 'the key of a handler') as never)
    } catch {
      return event.stream
    }
  }
}

export function many<T>(value: OneOrMany<T> | undefined): readonly T[] {
  if (value === undefined) return []
  return isList(value) ? value : [value]
}

function isList<T>(value: OneOrMany<T>): value is readonly T[] {
  return Array.isArray(value)
}
