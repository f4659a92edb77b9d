import type { RecordedEvent } from '../message/event.ts'
import { hashOf } from '../message/hash.ts'
import { HandlerCaller } from '../processing/handler-call.ts'
import type { SendCommand } from '../processing/handler-call.ts'
import type { AnyHandler } from '../processing/handler.ts'
import { LaneRunner } from '../processing/lane-runner.ts'
import { LogMessages } from '../processing/log-messages.ts'
import type { ProcessingContext } from '../processing/processor.ts'
import { Processor } from '../processing/processor.ts'
import { Relay } from '../processing/relay.ts'
import { refuseOtherShards, ShardedProcessor } from '../processing/sharded-processor.ts'
import { TopicProcessor } from '../processing/topic-processor.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { Topic } from '../transport/topic.ts'
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
  const topics = new Map([...publishedTopics(service), ...subscribedTopics(service)].map(({ name, spec }) => [name, spec]))
  for (const spec of topics.values()) await connection.ensureTopic(spec)
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
  for (const handler of [...service.parts.handlers, ...ownHandlers(service, connection)]) {
    const name = `handler:${handler.name}`
    const caller = new HandlerCaller(handler, context.store, sendCommand)
    for (const topic of topics.filter(({ events }) => caller.types.some((type) => Object.hasOwn(events, type))))
      topicProcessors.push(
        new TopicProcessor({
          name: `${name}@${topic.name}`,
          group: `${service.name}.${handler.name}`,
          topic,
          caller,
          connection: connection!,
          context,
        }),
      )
    const own = caller.types.filter((type) => !topics.some(({ events }) => Object.hasOwn(events, type)))
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
function ownHandlers({ name, parts }: Service<string, string, string>, connection: TransportConnection | undefined): readonly AnyHandler[] {
  return [
    ...(parts.accepts.length > 0 ? [handleSentCommands(name, parts.accepts)] : []),
    ...(parts.sendsTo.length > 0 && connection ? [receiveAnswers(name)] : []),
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
