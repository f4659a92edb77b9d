import { aborted } from '../message/aborted.ts'
import type { Partition, ReceivedMessage, StartAt, Subscription, TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import { describeError } from '../observability/log.ts'
import type { ActionTaker } from './action-watcher.ts'
import type { HandlerCaller } from './handler-call.ts'
import type { InboxConsumers } from './inbox-cleaner.ts'
import { LaneRunner } from './lane-runner.ts'
import type { MessageSource } from './message-source.ts'
import type { OperatorAction } from './operator-action.ts'
import type { ProcessingContext, ProcessorStatus, Runner, Tenure } from './processor.ts'
import { Processor } from './processor.ts'
import type { RetryStage } from './retry-topics.ts'
import { retrySource } from './retry-source.ts'
import { topicStartAt } from './start-position.ts'
import { writeStarts } from './topic-start.ts'
import { TopicMessages } from './topic-messages.ts'

export interface TopicProcessorParts {
  readonly name: string
  /** Who consumes, as the broker knows them. */
  readonly group: string
  readonly topic: Topic
  readonly caller: HandlerCaller
  readonly connection: TransportConnection
  readonly context: ProcessingContext
  /** Where the handler has retry topics: which of them, or what comes before them, this is. */
  readonly stage?: RetryStage
}

/** What a broker still has for a handler. */
export interface TopicLag {
  readonly processor: string
  readonly topic: string
  readonly partition: number | undefined
  readonly messages: number
}

interface Source {
  readonly messages: TopicMessages
  /** The same, where it is no other. */
  readonly source: MessageSource
}

interface Running {
  readonly processor: Processor
  readonly runner: LaneRunner
  /** Whether what was there when it began has been finished, so that the broker gives nothing again that was finished before. */
  isSettled(): boolean
}

/**
 * Given out and not acknowledged: enough that a broker need not wait for acknowledgements, which come with the commits of a fast handler. A process has many
 * partitions, but one queue.
 */
const maxMessages = { ofPartition: 2_000, ofQueue: 8_000 }
const maxBytes = 16 * 1024 * 1024
const releaseTimeoutMs = 15_000

/**
 * Runs a handler on the messages of a topic. Where the broker gives out partitions, each is a processor of its own, with its checkpoint, taken over from
 * whoever had it before; elsewhere one process consumes at a time, by a lease, so that the order of keys is kept.
 */
export class TopicProcessor implements ActionTaker, InboxConsumers {
  readonly #parts: TopicProcessorParts
  readonly #running = new Set<Running>()
  #subscription: Subscription | undefined

  constructor(parts: TopicProcessorParts) {
    this.#parts = parts
  }

  get statuses(): readonly ProcessorStatus[] {
    return [...this.#running].map(({ processor }) => processor.status)
  }

  get settledConsumers(): readonly string[] {
    return [...this.#running]
      .filter(({ processor, isSettled }) => ['catching-up', 'live'].includes(processor.status.state) && isSettled())
      .map(({ processor }) => processor.name)
  }

  take(action: OperatorAction): void {
    for (const { runner } of this.#running) runner.take(action)
  }

  /** @throws UnknownTopicError, UnsupportedByTransportError */
  async start(): Promise<void> {
    const { connection, context, group, name, topic } = this.#parts
    const startAt = this.#startAt
    await connection.ensureGroup(topic.name, group, startAt)
    if (connection.capabilities.ordering === 'partition') {
      await writeStarts({ name, group, topic: topic.name, startAt, connection, context })
      this.#subscription = await this.#subscribe((partition) => this.#runPartition(partition))
    } else this.#runQueue()
  }

  async lag(): Promise<readonly TopicLag[]> {
    const { connection, group, name, topic } = this.#parts
    const partitions = await connection.lag(topic.name, group)
    return partitions.map(({ partition, messages }) => ({ processor: name, topic: topic.name, partition, messages }))
  }

  async stop(): Promise<void> {
    await this.#subscription?.close()
    await Promise.all([...this.#running].map(({ processor }) => processor.stop()))
  }

  async #runPartition(partition: Partition): Promise<void> {
    const { caller, context, name } = this.#parts
    const runner = new LaneRunner(caller, () => this.#sourceOf(partition).source, caller.handler.lanes, context)
    // One without a checkpoint is newer than the group: nothing of it was seen.
    const processor = new Processor(
      { name: `${name}/${partition.number}`, runner, startAt: 'beginning', takesOver: true, isOnLog: false },
      context,
    )
    // Its checkpoint says what is finished: that does not come again.
    const running = { processor, runner, isSettled: () => true }
    this.#running.add(running)
    processor.start()
    await aborted(partition.revoked)
    await processor.stop()
    this.#running.delete(running)
  }

  #runQueue(): void {
    const { caller, context, name } = this.#parts
    let current: Source | undefined
    let behind: number | undefined
    const runner = new LaneRunner(caller, () => current!.source, caller.handler.lanes, context)
    const runSubscribed: Runner = {
      run: async (tenure) => {
        const ended = Promise.withResolvers<void>()
        behind = await this.#totalLag()
        let hasBegun = false
        const subscription = await this.#subscribe(async (assigned) => {
          // Its lease tells where the first one began: a second one would number its messages like those.
          if (hasBegun) return aborted(assigned.revoked)
          hasBegun = true
          current = this.#sourceOf(assigned)
          await runner.run(withSignal(tenure, AbortSignal.any([tenure.signal, assigned.revoked]))).then(ended.resolve, ended.reject)
        })
        try {
          // What was consumed under one assignment is not gone on with under the next: the checkpoint is read anew.
          await Promise.race([ended.promise, aborted(tenure.signal)])
        } finally {
          await subscription.close()
        }
      },
    }
    const processor = new Processor({ name, runner: runSubscribed, startAt: 'beginning', isOnLog: false }, context)
    this.#running.add({ processor, runner, isSettled: () => behind !== undefined && (current?.messages.finishedCount ?? 0) >= behind })
    processor.start()
  }

  /** Undefined when the broker does not say. */
  async #totalLag(): Promise<number | undefined> {
    const { context, name } = this.#parts
    try {
      return (await this.lag()).reduce((sum, { messages }) => sum + messages, 0)
    } catch (error) {
      context.store.environment.log('warn', 'how far a consumer is behind is not known', { processor: name, error: describeError(error) })
      return undefined
    }
  }

  #subscribe(run: (partition: Partition) => Promise<void>): Promise<Subscription> {
    const { connection, group, topic } = this.#parts
    const { ordering } = connection.capabilities
    // Where processes share a queue, the lease lets one of them consume.
    const isAlone = ordering === 'queue'
    const most = ordering === 'partition' ? maxMessages.ofPartition : maxMessages.ofQueue
    const limits = { maxMessages: most, maxBytes, releaseTimeoutMs }
    return connection.subscribe({ topic: topic.name, group, startAt: this.#startAt, isAlone, ...limits, run })
  }

  /** A handler that begins late with its topic begins early with its retry topics: what is there has been sent to it. */
  get #startAt(): StartAt {
    const { caller, connection, name, stage } = this.#parts
    const startAt = stage && stage.attempt > 1 ? undefined : caller.handler.startAt
    return topicStartAt(startAt, connection.capabilities, name)
  }

  #sourceOf(partition: Partition): Source {
    const { caller, connection, context, group, name, stage, topic } = this.#parts
    const { capabilities } = connection
    // Where a broker keeps no history, everybody begins at the end, and nothing says that what comes first is not merely early.
    const beginsAnywhere = capabilities.startAt.includes('beginning') && this.#startAt.at !== 'beginning'
    const read = (originalOf?: (message: ReceivedMessage) => ReceivedMessage): TopicMessages =>
      new TopicMessages({
        topic,
        beginsAnywhere,
        types: new Set(caller.types),
        partition,
        keepsOffsets: capabilities.ordering === 'partition',
        remembers: caller.handler.lanes.remembers,
        store: context.store,
        ...(originalOf && { originalOf }),
      })
    if (stage) return retrySource({ stage, processor: name, group, connection, context, read })
    const messages = read()
    return { messages, source: messages }
  }
}

function withSignal(tenure: Tenure, signal: AbortSignal): Tenure {
  return {
    ...tenure,
    signal,
    get attempt() {
      return tenure.attempt
    },
  }
}
