import type { RecordedEvent } from '../message/event.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import { hashOf } from '../message/hash.ts'
import { HandlerCaller } from '../processing/handler-call.ts'
import type { SendCommand } from '../processing/handler-call.ts'
import type { AnyHandler } from '../processing/handler.ts'
import { LaneRunner } from '../processing/lane-runner.ts'
import { LogMessages } from '../processing/log-messages.ts'
import type { ProcessingContext } from '../processing/processor.ts'
import { Processor } from '../processing/processor.ts'
import { Relay } from '../processing/relay.ts'
import type { RetryStage } from '../processing/retry-topics.ts'
import { deadLetterTopic, retryStages } from '../processing/retry-topics.ts'
import { refuseOtherShards, ShardedProcessor } from '../processing/sharded-processor.ts'
import { TopicProcessor } from '../processing/topic-processor.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
import { topicName } from '../transport/topic.ts'
import { commandTopics, handleSentCommands, receiveAnswers } from './remote-commands.ts'
import type { Service } from './service.ts'

/** What runs the handlers of a service, and carries its events to others. */
export interface Messaging {
  readonly processors: readonly Processor[]
  /** Those that run several processors each. */
  readonly groups: readonly (TopicProcessor | ShardedProcessor)[]
  readonly laneRunners: readonly LaneRunner[]
}

/** Makes the topics that the service publishes on or subscribes to, or finds them as they should be. */
export async function ensureTopics(service: Service<string, string, string>, connection: TransportConnection | undefined): Promise<void> {
  if (!connection) return
  const topics = new Map(
    [...publishedTopics(service), ...subscribedTopics(service), ...retryTopics(service)].map(({ name, spec }) => [name, spec]),
  )
  for (const spec of topics.values()) await connection.ensureTopic(spec)
}

/**
 * What fails can be sent on to a topic where it came from one, and there is nowhere else where its order would be given up.
 * @throws InvalidDefinitionError
 */
export function checkRetryTopics(service: Service<string, string, string>, { hasTransport }: { readonly hasTransport: boolean }): void {
  for (const handler of service.parts.handlers.filter(hasRetryTopics)) {
    const way = `give it \`whenExhausted: 'park'\` or \`'dead-letter'\``
    if (!hasTransport)
      throw new InvalidDefinitionError(
        `the handler ${handler.name} has retry topics, and the service is started without a transport: start it with one, or ${way}`,
      )
    const [own] = sourcesOf(handler, subscribedTopics(service)).ownTypes
    if (own !== undefined)
      throw new InvalidDefinitionError(
        `the handler ${handler.name} has retry topics, and gets ${own} from the log, which has none: ` +
          `subscribe to a topic that has it, handle it in a handler of its own, or ${way}`,
      )
  }
  for (const { name } of retryTopics(service))
    if (!topicName.test(name))
      throw new InvalidDefinitionError(
        `the topic '${name}' for what fails cannot be made: a name is up to 200 letters, digits, '.', '_' and '-'; take other names for the service or handler`,
      )
}

/** Where failed messages go. */
function retryTopics(service: Service<string, string, string>): readonly Topic[] {
  return service.parts.handlers.filter(hasRetryTopics).flatMap((handler) =>
    sourcesOf(handler, subscribedTopics(service)).topics.flatMap((topic) => [
      ...stagesOf(service, handler, topic)
        .slice(1)
        .map((stage) => stage.topic),
      deadLetterTopic(topic),
    ]),
  )
}

function hasRetryTopics({ lanes }: AnyHandler): boolean {
  return lanes.whenExhausted === 'retry-topics'
}

/** A topic, and the retry topics that the handler has behind it. */
export function stagesOf(service: { readonly name: string }, handler: AnyHandler, topic: Topic): readonly RetryStage[] {
  return retryStages(topic, groupOf(service, handler), handler.lanes.retryDelaysMs)
}

/** A topic from which a handler gets messages, and as whom. */
export interface ConsumedTopic {
  readonly handler: string
  /** The processor, or what the names of those of its partitions begin with. */
  readonly processor: string
  readonly topic: string
  readonly group: string
}

/** All that the handlers of a service get from topics of a broker, retry topics included, and what commands and answers come by. */
export function consumedTopics(service: Service<string, string, string>): readonly ConsumedTopic[] {
  const topics = subscribedTopics(service)
  return [...service.parts.handlers, ...ownHandlers(service, { hasTransport: true })].flatMap((handler) =>
    sourcesOf(handler, topics).topics.flatMap((topic) =>
      stagesOf(service, handler, topic).map((stage) => ({
        handler: handler.name,
        processor: topicProcessorOf(handler, stage.topic),
        topic: stage.topic.name,
        group: groupOf(service, handler),
      })),
    ),
  )
}

/** A handler gets the events of subscribed topics from there, where there is a transport, and all others from the log. */
export function runHandlers(
  service: Service<string, string, string>,
  context: ProcessingContext,
  sendCommand: SendCommand,
  connection: TransportConnection | undefined,
): Messaging {
  const topics = connection ? subscribedTopics(service) : []
  const processors: Processor[] = []
  const topicProcessors: TopicProcessor[] = []
  const shardedProcessors: ShardedProcessor[] = []
  const laneRunners: LaneRunner[] = []
  for (const handler of [...service.parts.handlers, ...ownHandlers(service, { hasTransport: connection !== undefined })]) {
    const name = processorOf(handler)
    const caller = new HandlerCaller(handler, context.store, sendCommand)
    const { ownTypes: own, ...from } = sourcesOf(handler, topics)
    for (const topic of from.topics) {
      const parts = { group: groupOf(service, handler), caller, connection: connection!, context }
      // The last one first: who sends something on has somebody who gets it.
      for (const stage of stagesOf(service, handler, topic).toReversed())
        topicProcessors.push(
          new TopicProcessor({
            ...parts,
            name: topicProcessorOf(handler, stage.topic),
            topic: stage.topic,
            ...(hasRetryTopics(handler) && { stage }),
          }),
        )
    }
    if (own.length === 0) continue
    const { keyOf } = handler.lanes
    if (handler.shards > 1) {
      const runnerFor = (shard: number): LaneRunner => {
        const isOurs = (event: RecordedEvent): boolean => hashOf(keyOf(event)) % handler.shards === shard
        return new LaneRunner(caller, (tenure) => LogMessages.open(own, context, tenure, isOurs), handler.lanes, context)
      }
      const startAt = handler.startAt ?? 'beginning'
      shardedProcessors.push(new ShardedProcessor({ name, shards: handler.shards, startAt, context, runnerFor }))
      continue
    }
    const runner = new LaneRunner(caller, (tenure) => LogMessages.open(own, context, tenure), handler.lanes, context)
    laneRunners.push(runner)
    processors.push(new Processor({ name, runner, startAt: handler.startAt ?? 'beginning', ...backoffOf(handler) }, context))
  }
  return { processors, groups: [...topicProcessors, ...shardedProcessors], laneRunners }
}

/** Where a handler gets its messages: from topics, and those of other types from the log. */
export function sourcesOf(
  { on }: AnyHandler,
  topics: readonly Topic[],
): { readonly topics: readonly Topic[]; readonly ownTypes: readonly string[] } {
  const types: readonly string[] = [...new Set<string>(on.map(({ type }: { readonly type: string }) => type))]
  return {
    topics: topics.filter(({ events }) => types.some((type) => Object.hasOwn(events, type))),
    ownTypes: types.filter((type) => !topics.some(({ events }) => Object.hasOwn(events, type))),
  }
}

export function processorOf({ name }: AnyHandler): string {
  return `handler:${name}`
}

/** Where the transport has partitions, each has a processor of its own: with its number behind this name. */
export function topicProcessorOf(handler: AnyHandler, topic: Topic): string {
  return `${processorOf(handler)}@${topic.name}`
}

/** Who consumes, as the broker knows them. */
export function groupOf(service: { readonly name: string }, { name }: AnyHandler): string {
  return `${service.name}.${name}`
}

/** @throws InvalidDefinitionError when a handler has run with another number of shards */
export async function checkShards({ parts }: Service<string, string, string>, { driver }: EventStore): Promise<void> {
  const known = await driver.processors.list()
  for (const { name, shards } of parts.handlers) refuseOtherShards(`handler:${name}`, shards, known)
}

function publishedTopics({ name, parts }: Service<string, string, string>): readonly Topic[] {
  const own = parts.accepts.length > 0 ? [commandTopics(name).answers] : []
  return [...parts.publishes, ...parts.sendsTo.map((to) => commandTopics(to).commands), ...own]
}

function subscribedTopics({ name, parts }: Service<string, string, string>): readonly Topic[] {
  const own = parts.accepts.length > 0 ? [commandTopics(name).commands] : []
  return [...parts.subscribes, ...parts.sendsTo.map((to) => commandTopics(to).answers), ...own]
}

/** The handlers by which commands come from other services and answers come back. On a log that all share, answers are where they are wanted. */
function ownHandlers(
  { name, parts }: Service<string, string, string>,
  { hasTransport }: { readonly hasTransport: boolean },
): readonly AnyHandler[] {
  return [
    ...(parts.accepts.length > 0 ? [handleSentCommands(name, parts.accepts)] : []),
    ...(parts.sendsTo.length > 0 && hasTransport ? [receiveAnswers(name)] : []),
  ]
}

/** Publishes the service's events on its topics. */
export function runRelays(
  service: Service<string, string, string>,
  context: ProcessingContext,
  connection: TransportConnection,
): { readonly processors: readonly Processor[]; readonly relays: readonly Relay[] } {
  const topics = publishedTopics(service)
  const relays = topics.map((topic) => new Relay({ topic, connection, context }))
  const processors = relays.map(
    (runner, index) => new Processor({ name: `relay:${topics[index]!.name}`, runner, startAt: 'beginning' }, context),
  )
  return { processors, relays }
}

function backoffOf({ lanes }: AnyHandler): { readonly backoff?: AnyHandler['lanes']['retry'] } {
  return lanes.whenExhausted === 'block' ? { backoff: lanes.retry } : {}
}
