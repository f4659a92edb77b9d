import type { EventStore } from '../storage/event-store.ts'
import type { Topic } from '../transport/topic.ts'
import type { TransportConnection } from '../transport/port.ts'
import type { CheckpointState } from './checkpoint-writer.ts'
import { ResetRefusedError } from './errors.ts'
import type { Lease } from './lease-keeper.ts'
import type { StartPosition } from './start-position.ts'
import { resolveStartPosition, topicStartAt } from './start-position.ts'
import type { TakenProcessors } from './taken-processors.ts'
import { refuseHeldMessages } from './taken-processors.ts'
import { positionBehind } from './topic-start.ts'

/** Where a processor was put. */
export interface ResetPlace {
  /** The handler, one shard of it, or one partition of a topic. */
  readonly processor: string
  /** Its checkpoint before, and now: positions of the log, or offsets and one. Undefined where it had none, and where the broker knows. */
  readonly from: number | undefined
  readonly to: number | undefined
  /** How much is there from this place on: events of the log, of whatever type, or messages of the topic. */
  readonly behind: number
}

/** A source of a handler that is about to be put elsewhere: its processors are taken, and nothing has been moved. */
export interface PlannedReset {
  /** In a replay, what these have finished is forgotten: those that have an inbox. */
  readonly consumers: readonly string[]
  /** Where the handler is put. What the broker keeps is moved by this; the checkpoints are still to be. */
  move(): Promise<readonly ResetPlace[]>
}

/**
 * Carries out what was planned: all checkpoints move in one commit, so that a failure, or the end of this process, has moved all of them or none. Only
 * what a broker keeps itself (NATS) moves before that, a topic at a time.
 * @throws ResetRefusedError
 */
export async function carryOutResets(
  taken: TakenProcessors,
  planned: readonly PlannedReset[],
  { replay }: { readonly replay: boolean },
): Promise<readonly ResetPlace[]> {
  if (replay) await taken.forgetFinished(planned.flatMap(({ consumers }) => consumers))
  taken.refuseIfLost()
  const places: ResetPlace[] = []
  for (const { move } of planned) places.push(...(await move()))
  await taken.put(places.flatMap(({ processor, to }) => (to === undefined ? [] : [{ processor, position: to }])))
  return places
}

/**
 * Takes a handler of the log: its processor, or those of its shards.
 * @throws ResetRefusedError
 */
export async function planResetOnLog(
  store: EventStore,
  taken: TakenProcessors,
  processors: readonly string[],
  to: StartPosition,
  { replay }: { readonly replay: boolean },
): Promise<PlannedReset> {
  const { head } = await store.log()
  const position = await resolveStartPosition(store, to)
  if (!Number.isSafeInteger(position) || position < 0 || position > head)
    throw new ResetRefusedError(`there is no position ${position}: the log ends at ${head}`)
  const refuseRepetition = (processor: string, finished: number): void => {
    const reached = Math.min(finished, head)
    if (position >= reached || replay) return
    throw new ResetRefusedError(
      `${processor} has handled events up to position ${reached}, and from ${position} on it would handle them again: say \`replay\` (\`--replay\` on the command line) if that is what you want`,
    )
  }
  const before = await checkpointsOf(store)
  for (const processor of processors) refuseRepetition(processor, before.get(processor) ?? 0)
  await refuseHeldMessages(store, processors)
  for (const processor of processors) refuseRepetition(processor, finishedUpTo(await taken.take(processor, position, { fromOwner: true })))
  await refuseHeldMessages(store, processors)
  const places = processors.map((processor) => ({ processor, from: before.get(processor), to: position, behind: head - position }))
  return { consumers: [], move: async () => places }
}

/** Who consumes a topic. */
export interface TopicConsumer {
  /** Of its processor; before the number of the partition where there are some. */
  readonly name: string
  readonly group: string
  readonly topic: Topic
  /** The processors of its retry topics, named likewise: in a replay, what they have finished is sent to them again. */
  readonly retries?: readonly string[]
}

/**
 * Takes a handler of a topic. Where the broker keeps what is finished, nobody may be consuming.
 * @throws ResetRefusedError, UnsupportedByTransportError, InvalidDefinitionError
 */
export async function planResetOnTopic(
  store: EventStore,
  taken: TakenProcessors,
  connection: TransportConnection,
  { name, group, topic, retries = [] }: TopicConsumer,
  to: StartPosition,
): Promise<PlannedReset> {
  const { capabilities } = connection
  const startAt = topicStartAt(to, capabilities, name)
  // It says better than anybody here why it cannot.
  if (!capabilities.startAt.includes('beginning')) await connection.resetGroup(topic.name, group, startAt)
  const before = await checkpointsOf(store)
  const retrying = [...before.keys()].filter((processor) => retries.includes(processor.replace(/\/\d+$/, '')))
  if (capabilities.ordering !== 'partition') {
    await taken.take(name, 0, { fromOwner: false })
    await refuseHeldMessages(store, [name])
    const move = async (): Promise<readonly ResetPlace[]> => {
      const places = await connection.resetGroup(topic.name, group, startAt)
      return places.map(({ messages }) => ({ processor: name, from: undefined, to: undefined, behind: messages }))
    }
    return { consumers: [name, ...retrying], move }
  }
  const known = [...before.keys()].filter((processor) => processor.startsWith(`${name}/`))
  await refuseHeldMessages(store, known)
  for (const processor of known) await taken.take(processor, 0, { fromOwner: true })
  await refuseHeldMessages(store, known)
  const places = await connection.resetGroup(topic.name, group, startAt)
  // In this order a group that is new is complete when its partition 0 is there, as when it is started.
  for (const { partition, after } of places.toReversed())
    await taken.take(`${name}/${partition}`, positionBehind(after), { fromOwner: true })
  const put = places.map(({ partition, after, messages }): ResetPlace => {
    const processor = `${name}/${partition}`
    return { processor, from: before.get(processor), to: positionBehind(after), behind: messages }
  })
  return { consumers: [...put.map(({ processor }) => processor), ...retrying], move: async () => put }
}

async function checkpointsOf({ driver }: EventStore): Promise<ReadonlyMap<string, number>> {
  return new Map((await driver.processors.list()).map(({ processor, position }) => [processor, position]))
}

/** Above its checkpoint, too, some may be finished, since those of other keys go on beside one that is slow. */
function finishedUpTo({ position, state }: Lease): number {
  const { progress } = state === undefined ? {} : (JSON.parse(state) as CheckpointState)
  return progress?.through ?? position
}
