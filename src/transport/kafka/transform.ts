import { InvalidDefinitionError } from '../../message/errors.ts'
import type { AnyEvent, New, NewEvent, Recorded, RecordedEvent } from '../../message/event.ts'
import type { Environment } from '../../observability/environment.ts'
import { environment } from '../../observability/environment.ts'
import type { PartitionLag, StartAt } from '../port.ts'
import type { Topic } from '../topic.ts'
import { deadLetterTopicOf } from '../topic.ts'
import { connectCluster } from './client/connect.ts'
import { KafkaConnection } from './connection.ts'
import { deadLetterOverhead } from './dead-letter-record.ts'
import type { KafkaOptions } from './options.ts'
import { withDefaults } from './options.ts'
import { KafkaSubscription } from './subscription.ts'
import { TransformRun } from './transform-run.ts'
import type { TransformContext } from './transform-attempt.ts'
import type { TransformPlan, TransformRetry } from './transformer.ts'
import { Transformer } from './transformer.ts'

export interface TransformOptions<On extends AnyEvent, Emits extends AnyEvent> extends KafkaOptions, Partial<Environment> {
  /** The consumer group: processes of one group share the partitions. Its offsets on the broker say how far it is. */
  readonly group: string
  /** The topic that is read. */
  readonly from: Topic
  /** The events of it that are transformed; others are passed over. */
  readonly on: On | readonly On[]
  /** The topics that are written to: each output goes to all of these that have its event. */
  readonly to: Topic | readonly Topic[]
  /** The events that the transform may return. */
  readonly emits: Emits | readonly Emits[]
  /** The stream of an output, from which its topic takes the key. Default: that of its input. */
  readonly stream?: (output: New<Emits>, input: Recorded<On>) => string
  /** The `source` of the outputs. Default: the group. */
  readonly source?: string
  /** Where a group begins that has not committed anything yet. Default: `'beginning'`. */
  readonly startAt?: 'beginning' | 'now' | { readonly time: Date }
  /** So many messages of a partition are transformed at the same time, at most; outputs are written in the order of their inputs all the same. Default: 16. */
  readonly concurrency?: number
  /**
   * How long one attempt may take; then `signal` is aborted and the attempt has failed: what it returns is not written, and the message is tried again or given up as
   * `retry` says. An attempt that does not react within five seconds is left behind, and the next one begins beside it. Default: 30,000.
   */
  readonly timeoutMs?: number
  /** How often and when a message is tried again. */
  readonly retry?: TransformRetry
}

export interface RunningTransform {
  /** How many messages each partition has that are not transformed yet. */
  lag(): Promise<readonly PartitionLag[]>
  /** Finishes the transactions that are under way and leaves the group. */
  stop(): Promise<void>
}

/** Held of each partition, read ahead. */
const maxMessages = 1_000
const maxBytes = 4 * 1024 * 1024
const releaseTimeoutMs = 15_000

/**
 * A stage between topics without a store: what the transform returns for an event is written in one Kafka transaction with the offset of its input. Whoever
 * reads `read_committed`, as Headwater's own consumers do, sees the outputs of each input exactly once, and those of one input partition in its order, through
 * crashes, rebalances and failures. The transform itself may be called more than once for a message: effects that it has elsewhere happen at least once.
 *
 * Outputs carry the correlation of their input, with the input as their cause, and ids that follow from it. When the transform throws, the message is tried
 * again, and those behind it in its partition wait. One that cannot be read, or has failed too often or for good, goes to the topic
 * `<from>.dlq` in the same transaction: its key and body as they were, the reason in headers as Spring Kafka writes them. Those behind it go on.
 * @throws InvalidDefinitionError, TransportUnavailableError, UnsupportedBrokerError, TopicMismatchError, MissingPackageError
 */
export async function startTransform<On extends AnyEvent, Emits extends AnyEvent>(
  options: TransformOptions<On, Emits>,
  transform: (
    event: Recorded<On>,
    context: TransformContext,
  ) => New<Emits> | readonly New<Emits>[] | undefined | Promise<New<Emits> | readonly New<Emits>[] | undefined>,
): Promise<RunningTransform> {
  const plan = planOf(options, transform as TransformPlan['transform'])
  const { group, from } = plan
  const { library, cluster } = await connectCluster(withDefaults(options), environment(options), group)
  let connection: KafkaConnection | undefined
  try {
    connection = new KafkaConnection(library, cluster, await cluster.maxMessageBytes())
    for (const { spec } of [from, ...plan.to]) await connection.ensureTopic(spec)
    const dead = deadLetterTopicOf(from.name)
    const most = (await cluster.maxMessageBytesOf(from.name)) + deadLetterOverhead
    const partitions = await cluster.partitions(from.name)
    if (await cluster.createTopic({ name: dead, partitions, settings: { 'max.message.bytes': String(most) } }))
      await connection.ensureTopic({ name: dead })

    const outputs = [...new Set([...plan.to.map(({ name }) => name), dead])]
    const transformer = new Transformer(plan, library.environment)
    const startAt = startAtOf(options.startAt)
    const parts = { library, cluster, transformer, group, startAt, concurrency: options.concurrency ?? 16, outputs }
    const subscription = new KafkaSubscription(
      library,
      cluster,
      {
        topic: from.name,
        group,
        startAt,
        maxMessages,
        maxBytes,
        releaseTimeoutMs,
        run: (partition) => new TransformRun(parts, partition).run(),
      },
      'in transactions',
    )
    return {
      lag: () => connection!.lag(from.name, group),
      stop: async () => {
        await subscription.close()
        await connection!.close()
      },
    }
  } catch (error) {
    await (connection ?? cluster).close()
    throw error
  }
}

/** @throws InvalidDefinitionError */
function planOf<On extends AnyEvent, Emits extends AnyEvent>(
  { group, from, source = group, stream, retry, timeoutMs = 30_000, concurrency = 1, ...options }: TransformOptions<On, Emits>,
  transform: TransformPlan['transform'],
): TransformPlan {
  const [on, to, emits] = [many(options.on), many(options.to), many(options.emits)]
  const refuse = (problem: string): never => {
    throw new InvalidDefinitionError(`the transform ${group}: ${problem}`)
  }
  if (on.length === 0) refuse('is on no event')
  for (const { type } of on) if (!Object.hasOwn(from.events, type)) refuse(`${type} is not on the topic ${from.name}`)
  for (const { type } of emits)
    if (!to.some(({ events }) => Object.hasOwn(events, type))) refuse(`${type} is on none of the topics that it writes to`)
  if (!Number.isSafeInteger(concurrency) || concurrency < 1) refuse(`concurrency must be a whole number from 1, not ${concurrency}`)
  if (!(timeoutMs > 0)) refuse(`timeoutMs must be above 0, not ${timeoutMs}`)
  return {
    group,
    timeoutMs,
    source,
    from,
    to,
    on: Object.fromEntries(on.map((definition) => [definition.type, definition])),
    emits: new Set(emits.map(({ type }) => type)),
    retry: { attempts: 8, firstMs: 1_000, maxMs: 300_000, isPermanent: () => false, ...retry },
    stream: (output: NewEvent, input: RecordedEvent) => stream?.(output as New<Emits>, input as Recorded<On>) ?? input.stream,
    transform,
  }
}

function startAtOf(start: 'beginning' | 'now' | { readonly time: Date } = 'beginning'): StartAt {
  if (start === 'beginning') return { at: 'beginning' }
  return start === 'now' ? { at: 'end' } : { at: 'time', timeMs: start.time.getTime() }
}

function many<T>(value: T | readonly T[]): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T]
}
