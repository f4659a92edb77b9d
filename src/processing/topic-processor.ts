import type { Partition, Subscription, TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import type { ActionTaker } from './action-watcher.ts'
import type { HandlerCaller } from './handler-call.ts'
import { LaneRunner } from './lane-runner.ts'
import type { OperatorAction } from './operator-action.ts'
import type { ProcessingContext, ProcessorStatus, Runner, Tenure } from './processor.ts'
import { Processor } from './processor.ts'
import { topicStartAt } from './start-position.ts'
import { TopicMessages } from './topic-messages.ts'

export interface TopicProcessorParts {
  readonly name: string
  /** Who consumes, as the broker knows them. */
  readonly group: string
  readonly topic: Topic
  readonly caller: HandlerCaller
  readonly connection: TransportConnection
  readonly context: ProcessingContext
}

interface Running {
  readonly processor: Processor
  readonly runner: LaneRunner
}

const maxMessages = 2_000
const maxBytes = 16 * 1024 * 1024
const releaseTimeoutMs = 15_000

/**
 * Runs a handler on the messages of a topic. Where the broker gives out partitions, each is a processor of its own, with its checkpoint, taken over from
 * whoever had it before; elsewhere one process consumes at a time, by a lease, so that the order of keys is kept.
 */
export class TopicProcessor implements ActionTaker {
  readonly #parts: TopicProcessorParts
  readonly #running = new Set<Running>()
  #subscription: Subscription | undefined

  constructor(parts: TopicProcessorParts) {
    this.#parts = parts
  }

  get statuses(): readonly ProcessorStatus[] {
    return [...this.#running].map(({ processor }) => processor.status)
  }

  take(action: OperatorAction): boolean {
    return [...this.#running].some(({ runner }) => runner.take(action))
  }

  /** @throws UnknownTopicError, UnsupportedByTransportError */
  async start(): Promise<void> {
    const { caller, connection, group, name, topic } = this.#parts
    await connection.ensureGroup(topic.name, group, topicStartAt(caller.handler.startAt, connection.capabilities, name))
    if (connection.capabilities.ordering === 'partition')
      this.#subscription = await this.#subscribe((partition) => this.#runPartition(partition))
    else this.#runQueue()
  }

  async stop(): Promise<void> {
    await this.#subscription?.close()
    await Promise.all([...this.#running].map(({ processor }) => processor.stop()))
  }

  async #runPartition(partition: Partition): Promise<void> {
    const { caller, context, name } = this.#parts
    const runner = new LaneRunner(caller, () => this.#messagesOf(partition), caller.handler.lanes, context)
    const processor = new Processor({ name: `${name}/${partition.number}`, runner, startAt: 'beginning', takesOver: true }, context)
    const running = { processor, runner }
    this.#running.add(running)
    processor.start()
    await aborted(partition.revoked)
    await processor.stop()
    this.#running.delete(running)
  }

  #runQueue(): void {
    const { caller, context, name } = this.#parts
    let partition: Partition | undefined
    const runner = new LaneRunner(caller, () => this.#messagesOf(partition!), caller.handler.lanes, context)
    const runSubscribed: Runner = {
      run: async (tenure) => {
        const ended = Promise.withResolvers<void>()
        const subscription = await this.#subscribe(async (assigned) => {
          partition = assigned
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
    const processor = new Processor({ name, runner: runSubscribed, startAt: 'beginning' }, context)
    this.#running.add({ processor, runner })
    processor.start()
  }

  #subscribe(run: (partition: Partition) => Promise<void>): Promise<Subscription> {
    const { caller, connection, group, name, topic } = this.#parts
    const startAt = topicStartAt(caller.handler.startAt, connection.capabilities, name)
    return connection.subscribe({ topic: topic.name, group, startAt, maxMessages, maxBytes, releaseTimeoutMs, run })
  }

  #messagesOf(partition: Partition): TopicMessages {
    const { caller, connection, context, topic } = this.#parts
    return new TopicMessages({
      topic,
      types: new Set(caller.types),
      partition,
      keepsOffsets: connection.capabilities.ordering === 'partition',
      environment: context.store.environment,
    })
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

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
