import { ResetRefusedError } from '../processing/errors.ts'
import type { AnyHandler } from '../processing/handler.ts'
import { recordAction } from '../processing/operator-action.ts'
import type { PlannedReset, ResetPlace } from '../processing/reset.ts'
import { carryOutResets, planResetOnLog, planResetOnTopic } from '../processing/reset.ts'
import { shardNames } from '../processing/sharded-processor.ts'
import type { StartPosition } from '../processing/start-position.ts'
import { TakenProcessors } from '../processing/taken-processors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { TransportConnection } from '../transport/port.ts'
import { groupOf, processorOf, sourcesOf, stagesOf, topicProcessorOf } from './messaging.ts'
import type { Service } from './service.ts'

export interface ResetOptions {
  /** Who asks for it, for the record of what operators did. */
  readonly by: string
  readonly reason?: string
  /**
   * Has everything behind the new place handled again, also what was handled before. Without it a handler of topics leaves out what its inbox remembers, and one of the
   * log, which has no inbox, is not put back at all. Default: false.
   */
  readonly replay?: boolean
  /** Only what comes from this topic. Default: everything that the handler is on. */
  readonly topic?: string
}

export interface ResetResult {
  readonly handler: string
  /** Whether what was handled before is handled again. */
  readonly replay: boolean
  readonly places: readonly ResetPlace[]
}

export interface ResetParts {
  readonly service: Service<string, string, string>
  readonly store: EventStore
  readonly connection: TransportConnection | undefined
}

/**
 * Puts a handler somewhere else. See `App.reset`.
 * @throws ResetRefusedError, UnsupportedByTransportError, InvalidDefinitionError
 */
export async function resetHandler(parts: ResetParts, name: string, to: StartPosition, options: ResetOptions): Promise<ResetResult> {
  const { service, store, connection } = parts
  const handler = findHandler(service, name)
  const { topics, ownTypes } = sourcesOf(handler, connection ? service.parts.subscribes : [])
  if (!connection) await refuseWithoutTransport(store, handler)
  const wanted = topics.filter((topic) => options.topic === undefined || topic.name === options.topic)
  if (options.topic !== undefined && wanted.length === 0)
    throw new ResetRefusedError(`${handler.name} gets nothing from a topic ${options.topic}`)
  const { replay = false } = options
  await using taken = new TakenProcessors(store)
  const planned: PlannedReset[] = []
  for (const topic of wanted) {
    const [, ...tiers] = stagesOf(service, handler, topic)
    const retries = tiers.map((stage) => topicProcessorOf(handler, stage.topic))
    const consumer = { name: topicProcessorOf(handler, topic), group: groupOf(service, handler), topic, retries }
    planned.push(await planResetOnTopic(store, taken, connection!, consumer, to))
  }
  if (ownTypes.length > 0 && options.topic === undefined)
    planned.push(await planResetOnLog(store, taken, shardNames(processorOf(handler), handler.shards), to, { replay }))
  const places = await carryOutResets(taken, planned, { replay })
  await record(store, handler, to, places, options)
  return { handler: handler.name, replay, places }
}

function findHandler({ name: service, parts }: Service<string, string, string>, name: string): AnyHandler {
  const handler = parts.handlers.find((candidate) => candidate.name === name)
  if (handler) return handler
  const known = parts.handlers.map((candidate) => candidate.name).join(', ') || 'none'
  throw new ResetRefusedError(`the service ${service} has no handler ${name}; it has: ${known}`)
}

/** Its checkpoints of the log are not those by which it goes on. */
async function refuseWithoutTransport({ driver }: EventStore, handler: AnyHandler): Promise<void> {
  const processor = (await driver.processors.list()).find(({ processor: name }) => name.startsWith(`${processorOf(handler)}@`))
  if (processor)
    throw new ResetRefusedError(
      `${processor.processor} gets its messages by a transport, and none is given here (on the command line: by the app's module, as \`transport\`)`,
    )
}

async function record(
  store: EventStore,
  handler: AnyHandler,
  to: StartPosition,
  places: readonly ResetPlace[],
  { by, reason = '', replay = false }: ResetOptions,
): Promise<void> {
  const moves = places.slice(0, 20).map(({ processor, from, to: position }) => `${processor} ${from ?? '?'} → ${position ?? '?'}`)
  const outcome = `to ${describeStart(to)}${replay ? ', as a replay' : ''}: ${moves.join(', ')}${places.length > moves.length ? ', …' : ''}`
  await recordAction(store, { kind: 'reset', processor: processorOf(handler), by, reason, outcome })
}

export function describeStart(start: StartPosition): string {
  if (typeof start === 'string') return start === 'now' ? 'now' : 'the beginning'
  return 'time' in start ? start.time.toISOString() : `position ${start.after}`
}
