import type { AnyCommand, Command } from '../message/command.ts'
import { isReject } from '../message/command.ts'
import { currentContext, onBehalfOf } from '../message/context.ts'
import { HeadwaterError } from '../message/errors.ts'
import type { NewEvent, RecordedEvent } from '../message/event.ts'
import { uuidv7 } from '../message/id.ts'
import type { Accepted, Rejected } from '../message/outcome.ts'
import { validate } from '../message/schema.ts'
import { backoffMs } from '../storage/backoff.ts'
import { CommandIdReusedError, ConditionFailedError, VersionConflictError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import { streamName } from '../storage/stream-name.ts'
import type { DocumentWrite, EncodedEvent, Receipt, WriteSet } from '../storage/write-set.ts'
import type { AnyAggregate } from './aggregate.ts'
import type { Loaded } from './load.ts'
import { evolve, loadAggregate, loadBoundary } from './load.ts'
import { firstOutcome, hashOf } from './receipt.ts'
import type { SnapshotWriter } from './snapshot-writer.ts'
import type { Turns } from './turns.ts'

export interface CommandOptions {
  /** Given twice, the command is carried out once, and the second caller gets the first outcome. */
  readonly id?: string
  readonly correlationId?: string
  readonly causationId?: string
}

/** Others were faster each time that the command was decided. */
export class TooManyConflictsError extends HeadwaterError {
  readonly code = 'too-many-conflicts'
}

/**
 * What else is written together with a command's events: documents that must agree with the stream. Called with the version that was loaded and the events
 * as they will be recorded, but for their positions, which are not known yet (0).
 */
export type ReadModelWrites = (stream: string, version: number, events: readonly RecordedEvent[]) => Promise<readonly DocumentWrite[]>

/** What commands are carried out with. */
export interface CommandContext {
  readonly store: EventStore
  readonly snapshots: SnapshotWriter
  readonly readModelWrites: ReadModelWrites | undefined
  /** By stream. */
  readonly turns: Turns
}

const maxAttempts = 20

/**
 * Carries out one command: loads its aggregate, decides, appends. Commands of this process to one aggregate take turns. When another process has
 * appended meanwhile, the aggregate is loaded and decided anew, after a short random pause, at most 20 times.
 * @throws InvalidMessageError, TooManyConflictsError, CommandIdReusedError, StoreUnavailableError
 */
export async function handleCommand(
  context: CommandContext,
  aggregate: AnyAggregate,
  definition: AnyCommand,
  input: unknown,
  options: CommandOptions = {},
): Promise<Accepted | Rejected> {
  const data: unknown = validate(definition.schema, input, definition.type)
  const command = completeCommand(definition.type, data, options, context.store.environment.clock.now())
  const stream = streamOf(aggregate, data)
  const receipt = options.id === undefined ? undefined : { commandId: options.id, target: stream, payloadHash: hashOf(data) }
  return context.turns.take(stream, () => decideAndAppend(context, aggregate, stream, command, receipt))
}

async function decideAndAppend(
  { store, snapshots, readModelWrites }: CommandContext,
  aggregate: AnyAggregate,
  stream: string,
  command: Command,
  receipt: Omit<Receipt, 'version'> | undefined,
): Promise<Accepted | Rejected> {
  const { clock, metrics, random } = store.environment
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const loaded = await (aggregate.boundary
      ? loadBoundary(store, aggregate, command.data as object)
      : loadAggregate(store, aggregate, stream))
    // Only after the state was read: a receipt that is not there now cannot belong to anything in that state.
    const known = receipt && (await store.driver.findReceipt(receipt.commandId))
    if (known) return firstOutcome(store, known, receipt)
    const decision = decide(aggregate, loaded.state, command)
    if ('rejected' in decision) return { ok: false, code: decision.rejected, message: decision.message }
    const events = onBehalfOf({ correlationId: command.correlationId, causationId: command.id }, () =>
      decision.map((event) => store.encode(event)),
    )
    if (events.length === 0 && !receipt)
      return { ok: true, position: (await store.log()).head, version: loaded.version, events: [], duplicate: false }
    try {
      const documents = await readModelWrites?.(
        stream,
        loaded.version,
        recordedEvents(stream, decision, events, 0, loaded.version + events.length),
      )
      const committed = await store.commit({
        ...appendOf(aggregate, stream, events, loaded),
        ...(documents && documents.length > 0 && { documents }),
        ...(receipt && { receipt: { ...receipt, version: loaded.version } }),
      })
      const recorded = recordedEvents(stream, decision, events, committed.firstPosition, committed.versions[0] ?? loaded.version)
      snapshots.consider(
        aggregate,
        stream,
        loaded,
        () => recorded.reduce((state, event) => evolve(aggregate, state, event), loaded.state),
        recorded.length,
      )
      const position = events.length > 0 ? committed.position : (await store.log()).head
      return { ok: true, position, version: committed.versions[0] ?? loaded.version, events: recorded, duplicate: false }
    } catch (error) {
      const isConflict = error instanceof VersionConflictError || error instanceof ConditionFailedError
      if (!isConflict && !(receipt && error instanceof CommandIdReusedError)) throw error
      metrics.count('headwater_command_conflicts_total', 1, { command: command.type })
      await clock.sleep(backoffMs(attempt, { firstMs: 2, maxMs: 200 }, random))
    }
  }
  throw new TooManyConflictsError(
    `${command.type}: ${stream} was changed by others ${maxAttempts} times while the command was being decided`,
  )
}

/** The stream of the aggregate that has these ids in its command or key. */
export function streamOf(aggregate: AnyAggregate, data: unknown): string {
  const ids = aggregate.ids.map((field) => String((data as Readonly<Record<string, unknown>>)[field]))
  return streamName(aggregate.name, ids.join('/'))
}

export function completeCommand(type: string, data: unknown, options: CommandOptions, nowMs: number): Command {
  const id = options.id ?? uuidv7(nowMs)
  const context = currentContext()
  return {
    type,
    data,
    id,
    correlationId: options.correlationId ?? context?.correlationId ?? id,
    causationId: options.causationId ?? context?.causationId ?? id,
  }
}

function decide(
  aggregate: AnyAggregate,
  state: unknown,
  command: Command,
): readonly NewEvent[] | { readonly rejected: string; readonly message: string } {
  const decision = aggregate.decide[command.type]!(state as never, command as never) as NewEvent | readonly NewEvent[]
  if (isReject(decision)) return decision
  return Array.isArray(decision) ? (decision as readonly NewEvent[]) : [decision as NewEvent]
}

function appendOf(aggregate: AnyAggregate, stream: string, events: readonly EncodedEvent[], loaded: Loaded<unknown>): WriteSet {
  if (events.length === 0) return { appends: [] }
  if (!loaded.boundary) return { appends: [{ stream, expectedVersion: loaded.version, events }] }
  return { appends: [{ stream, expectedVersion: 'any', events }], conditions: [loaded.boundary] }
}

export function recordedEvents(
  stream: string,
  decided: readonly NewEvent[],
  encoded: readonly EncodedEvent[],
  firstPosition: number,
  version: number,
): readonly RecordedEvent[] {
  const firstVersion = version - encoded.length + 1
  return encoded.map(({ id, source, type, schemaVersion, timeMs, correlationId, causationId, tags }, index) => ({
    type,
    data: decided[index]!.data,
    id,
    source,
    schemaVersion,
    stream,
    version: firstVersion + index,
    position: firstPosition === 0 ? 0 : firstPosition + index,
    time: new Date(timeMs),
    correlationId,
    causationId,
    metadata: decided[index]!.metadata ?? {},
    tags,
  }))
}
