import type { AnyAggregate, StateOf } from '../aggregate/aggregate.ts'
import type { CommandOptions } from '../aggregate/handle-command.ts'
import { streamOf } from '../aggregate/handle-command.ts'
import { loadAggregate, loadBoundary, stateAt } from '../aggregate/load.ts'
import type { AnyCommand, CommandBase } from '../message/command.ts'
import type { SendResult } from '../message/outcome.ts'
import { validate } from '../message/schema.ts'
import type { ActionWatcher } from '../processing/action-watcher.ts'
import type { DeadLetters } from '../processing/dead-letters.ts'
import type { AnyHandler } from '../processing/handler.ts'
import type { StartPosition } from '../processing/start-position.ts'
import type { Sequencer } from '../processing/sequencer.ts'
import type { ProcessingContext, Processor, ProcessorStatus } from '../processing/processor.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { Documents } from '../storage/documents.ts'
import { UnknownProjectionError } from '../projection/errors.ts'
import type { AnyProjection, Projection } from '../projection/projection.ts'
import type { AnyQuery, QueryDefinition } from '../projection/query.ts'
import type { ReadModel } from '../projection/read-model.ts'
import type { RebuildOptions } from '../projection/rebuild.ts'
import { rebuild } from '../projection/rebuild.ts'
import type { Verification, VerifyOptions } from '../projection/verify.ts'
import { verifyReadModel } from '../projection/verify.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { InboxCleaner } from '../processing/inbox-cleaner.ts'
import type { TopicLag } from '../processing/topic-processor.ts'
import { TopicProcessor } from '../processing/topic-processor.ts'
import type { AlertWatch } from './alerts.ts'
import type { CommandBus } from './command-bus.ts'
import type { EventReference } from './event-position.ts'
import { positionOfEvent } from './event-position.ts'
import type { RemoteResult } from './remote-commands.ts'
import type { DispatchOptions, RequestOptions, Requests } from './requests.ts'
import type { Messaging } from './messaging.ts'
import type { ResetOptions, ResetResult } from './reset.ts'
import { resetHandler } from './reset.ts'
import type { Service } from './service.ts'
import { watchQuery } from './watch.ts'

export interface QueryOptions {
  /**
   * Waits until the read model holds everything up to this position: that of a command's outcome, to read one's own write; or up to this event of the log, which need
   * not be there yet: one that was published by way of an outbox, of which only the id is known.
   */
  readonly atLeast?: number | EventReference
  /** How long to wait for that. Default: 5,000. */
  readonly timeoutMs?: number
}

type Only<Name extends string, Known extends string, Otherwise extends string> = Name extends Known
  ? unknown
  : { readonly problem: Otherwise }
/** The ids of an aggregate: its one id, or an object of its several. */
export type AggregateId = string | Readonly<Record<string, string>>

/** A running service. */
export interface App<Handled extends string, Answered extends string> extends AsyncDisposable {
  /** The log beneath, for what has no aggregate. */
  readonly store: EventStore
  /** The messages that handlers could not handle, to be looked at, mended and tried again. */
  readonly deadLetters: DeadLetters
  /**
   * Has a command carried out. Resolves when what it led to is on disk, or with the reason of its rejection.
   * @throws InvalidMessageError, TooManyConflictsError, CommandIdReusedError, StoreUnavailableError
   */
  send<Type extends string, Data, Code extends string, Input>(
    command: CommandBase<Type, Data, Code, Input> & Only<Type, Handled, `no aggregate or command handler of this service handles ${Type}`>,
    data: NoInfer<Input>,
    options?: CommandOptions,
  ): Promise<SendResult<Code>>
  /**
   * Sends a command to another service, which is one of `sendsTo`. Resolves when it is on disk here; it arrives as soon as the other service is there, and is
   * carried out once, whatever happens in between.
   * @throws InvalidMessageError, InvalidDefinitionError, StoreUnavailableError
   */
  dispatch<Type extends string, Data, Code extends string, Input>(
    command: CommandBase<Type, Data, Code, Input>,
    data: NoInfer<Input>,
    options: DispatchOptions,
  ): Promise<{ readonly id: string }>
  /**
   * The same, and waits for what became of it.
   * @throws RequestTimeoutError, RemoteCommandError, and what `dispatch` throws
   */
  request<Type extends string, Data, Code extends string, Input>(
    command: CommandBase<Type, Data, Code, Input>,
    data: NoInfer<Input>,
    options: RequestOptions,
  ): Promise<RemoteResult<Code>>
  /**
   * Answers a query from its read model.
   * @throws InvalidMessageError, ProjectionBuildingError, WaitTimeoutError that tells how far behind the read model is
   */
  query<Name extends string, Params, Result>(
    query: QueryDefinition<Name, Params, Result> & Only<Name, Answered, `this service does not list the query ${Name}`>,
    params: NoInfer<Params>,
    options?: QueryOptions,
  ): Promise<Result>
  /**
   * The answer now, and again whenever it has become another one. Answers that come and go faster than they are taken are left out. A read model that is being
   * built for the first time is waited for.
   */
  watch<Name extends string, Params, Result>(
    query: QueryDefinition<Name, Params, Result> & Only<Name, Answered, `this service does not list the query ${Name}`>,
    params: NoInfer<Params>,
    options?: { readonly signal?: AbortSignal },
  ): AsyncIterable<Result>
  /** The state of an aggregate: now, or as it was at a version of its stream or at a time. */
  state<A extends AnyAggregate>(
    aggregate: A,
    id: AggregateId,
    at?: { readonly version: number } | { readonly time: Date },
  ): Promise<StateOf<A>>
  /** The documents of a projection, for questions that are not worth a query of their own. */
  documents<Document, Indexed extends keyof Document, Searchable extends boolean>(
    // oxlint-disable-next-line typescript/no-explicit-any -- the events do not matter here
    projection: Projection<string, Document, any, Indexed, Searchable>,
  ): Documents<Document, Indexed, Searchable>
  /**
   * Puts a handler back or forward, to where a new one could begin: `'beginning'`, `'now'`, a time, and on the log a position. It goes on from there within
   * moments, in whichever process runs it, without anybody restarting it. All its checkpoints, of every topic, partition and shard, move in one commit: a reset that
   * fails has moved none. (Where it is the broker that knows how far a group is, NATS, each topic moves by itself.)
   *
   * Forward, what is between is never handled. Back, a handler of topics leaves out what its inbox remembers, so that only what it has missed is handled, and
   * what it handled longer ago than `inboxRetentionMs`; on the log, going back is refused without `replay`. With `replay` everything is handled again. Then what
   * the handler does outside the store happens again, with the same `idempotencyKey` as before. What it does in the store does not: events that it emits have ids
   * that follow from the message, so a message that led to events before leads to none now, not even to others (a log line says where they differ); only one that
   * led to none can. A command that was carried out is not carried out again, one that was rejected is tried anew, and one with other data than then is an error.
   *
   * What is being handled while the place changes is handled again, as when a process dies. Dead letters of state `'dead'` stay as they are, though their messages may now succeed.
   * @throws ResetRefusedError while messages are held back, where the broker must not lose what somebody consumes at this moment (NATS: stop the service first), and
   * on the log for a way back without `replay`; UnsupportedByTransportError where the broker keeps no history (RabbitMQ, SQS); InvalidDefinitionError for a position of a topic
   */
  reset(handler: string | AnyHandler, to: StartPosition, options: ResetOptions): Promise<ResetResult>
  /** Builds a read model anew beside the one that is read, and resolves when it has taken over. */
  rebuild(projection: string | AnyProjection, options?: RebuildOptions): Promise<void>
  /** Replays the log and reports each document of a read model that is not what the log makes of it. */
  verify(projection: string | AnyProjection, options?: VerifyOptions): Promise<Verification>
  /** What runs in this process, how far it is, and what stands still. */
  status(): AppStatus
  /** How much the brokers still have for the handlers of this service. */
  lag(): Promise<readonly TopicLag[]>
  /** Ends what runs, commits what was begun, closes the store. */
  stop(): Promise<void>
}

export interface AppStatus {
  readonly service: string
  /** The last position of the log that this process has seen. */
  readonly head: number
  readonly processors: readonly ProcessorStatus[]
}

export interface RunningParts {
  readonly service: Service<string, string, string>
  readonly context: ProcessingContext
  readonly commands: CommandBus
  readonly readModels: readonly ReadModel[]
  readonly processors: readonly Processor[]
  readonly groups: Messaging['groups']
  readonly connection: TransportConnection | undefined
  readonly deadLetters: DeadLetters
  readonly actions: ActionWatcher
  readonly requests: Requests
  readonly sequencer: Sequencer | undefined
  readonly cleaner: InboxCleaner
}

/** The app without its types, which `start` gives back to it. */
export class RunningApp {
  readonly store: EventStore
  readonly deadLetters: DeadLetters
  readonly #actions: ActionWatcher
  readonly #requests: Requests
  readonly #sequencer: Sequencer | undefined
  readonly #cleaner: InboxCleaner
  readonly #groups: Messaging['groups']
  readonly #connection: TransportConnection | undefined
  readonly #service: Service<string, string, string>
  readonly #context: ProcessingContext
  readonly #commands: CommandBus
  readonly #readModels: ReadonlyMap<string, ReadModel>
  readonly #processors: readonly Processor[]
  #alerts: AlertWatch | undefined
  #stopping: Promise<void> | undefined

  constructor({
    service,
    context,
    commands,
    readModels,
    processors,
    groups,
    connection,
    deadLetters,
    actions,
    requests,
    sequencer,
    cleaner,
  }: RunningParts) {
    this.store = context.store
    this.deadLetters = deadLetters
    this.#actions = actions
    this.#requests = requests
    this.#sequencer = sequencer
    this.#cleaner = cleaner
    this.#groups = groups
    this.#connection = connection
    this.#service = service
    this.#context = context
    this.#commands = commands
    this.#readModels = new Map(readModels.map((readModel) => [readModel.projection.name, readModel]))
    this.#processors = processors
  }

  send(command: AnyCommand, data: unknown, options: CommandOptions = {}): Promise<unknown> {
    return this.#commands.send(command, data, options)
  }

  dispatch(command: AnyCommand, data: unknown, options: DispatchOptions): Promise<unknown> {
    return this.#requests.dispatch(command, data, options)
  }

  request(command: AnyCommand, data: unknown, options: RequestOptions): Promise<unknown> {
    return this.#requests.request(command, data, options)
  }

  async query(query: AnyQuery, input: unknown, { atLeast = 0, timeoutMs = 5_000 }: QueryOptions = {}): Promise<unknown> {
    const params = validate(query.params, input, query.name)
    const readModel = this.#readModel(query.from)
    if (typeof atLeast === 'number') await readModel.waitFor(atLeast, timeoutMs)
    else await this.#waitForEvent(readModel, atLeast, timeoutMs)
    return query.answer(params as never, readModel.documents as never)
  }

  watch(query: AnyQuery, input: unknown, { signal }: { readonly signal?: AbortSignal } = {}): AsyncIterable<unknown> {
    const readModel = this.#readModel(query.from)
    return watchQuery(() => this.query(query, input), readModel, signal)
  }

  async state<A extends AnyAggregate>(
    aggregate: A,
    id: AggregateId,
    at?: { readonly version: number } | { readonly time: Date },
  ): Promise<StateOf<A>> {
    const ids = typeof id === 'string' ? { [aggregate.ids[0]!]: id } : id
    if (at) return stateAt(this.store, aggregate, streamOf(aggregate, ids), at)
    const loaded = await (aggregate.boundary
      ? loadBoundary(this.store, aggregate, ids)
      : loadAggregate(this.store, aggregate, streamOf(aggregate, ids)))
    return loaded.state
  }

  documents(projection: AnyProjection): Documents<unknown, never> {
    return this.#readModel(projection).documents
  }

  reset(handler: string | AnyHandler, to: StartPosition, options: ResetOptions): Promise<ResetResult> {
    const parts = { service: this.#service, store: this.store, connection: this.#connection }
    return resetHandler(parts, typeof handler === 'string' ? handler : handler.name, to, options)
  }

  async rebuild(projection: string | AnyProjection, options: RebuildOptions = {}): Promise<void> {
    await rebuild(this.#readModel(projection), this.store.environment, options)
  }

  async verify(projection: string | AnyProjection, options: VerifyOptions = {}): Promise<Verification> {
    const readModel = this.#readModel(projection)
    await readModel.keepUp()
    await readModel.waitFor(0, 60_000)
    const waitFor = (position: number): Promise<void> => readModel.waitFor(position, 60_000)
    return verifyReadModel({ projection: readModel.projection, collection: readModel.current!, waitFor }, this.#context, options)
  }

  async lag(): Promise<readonly TopicLag[]> {
    const topics = this.#groups.filter((group) => group instanceof TopicProcessor)
    return (await Promise.all(topics.map((topic) => topic.lag()))).flat()
  }

  /** Runs the watch until the app stops. */
  watchWith(alerts: AlertWatch): void {
    this.#alerts = alerts
    alerts.start()
  }

  status(): AppStatus {
    return {
      service: this.#service.name,
      head: this.#context.tail.head,
      processors: [
        ...this.#processors.map(({ status }) => status),
        ...this.#groups.flatMap(({ statuses }) => statuses),
        ...[...this.#readModels.values()].flatMap(({ statuses }) => statuses),
      ],
    }
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #stop(): Promise<void> {
    await this.#alerts?.stop()
    await this.#actions.stop()
    await this.#cleaner.stop()
    await this.#requests.stop()
    await Promise.all([...this.#processors, ...this.#groups, ...this.#readModels.values()].map((running) => running.stop()))
    await this.#sequencer?.stop()
    await this.#connection?.close()
    await this.#commands.snapshots.settled()
    await this.#context.leases.stop()
    await this.#context.tail.stop()
    await this.store.close()
  }

  async #waitForEvent(readModel: ReadModel, { eventId, source = this.#service.name }: EventReference, timeoutMs: number): Promise<void> {
    const { clock } = this.store.environment
    const deadlineMs = clock.now() + timeoutMs
    const position = await positionOfEvent(this.#context, { id: eventId, source }, timeoutMs)
    await readModel.waitFor(position, Math.max(0, deadlineMs - clock.now()))
  }

  #readModel(projection: string | AnyProjection): ReadModel {
    const name = typeof projection === 'string' ? projection : projection.name
    const readModel = this.#readModels.get(name)
    if (readModel) return readModel
    const known = [...this.#readModels.keys()].join(', ') || 'none'
    throw new UnknownProjectionError(`the service ${this.#service.name} has no projection ${name}; it has: ${known}`)
  }
}
