import { onBehalfOf } from '../message/context.ts'
import type { AnyCommand } from '../message/command.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { NewEvent, RecordedEvent } from '../message/event.ts'
import { uuidFrom } from '../message/id.ts'
import type { Accepted, Rejected } from '../message/outcome.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { EventStore } from '../storage/event-store.ts'
import { idOf, streamName } from '../storage/stream-name.ts'
import type { StreamAppend } from '../storage/write-set.ts'
import type { AnyHandler } from './handler.ts'
import type { Work, Worker } from './processor.ts'

/** How a handler's commands are carried out; the service knows by whom. */
export type SendCommand = (command: AnyCommand, data: unknown, options: { readonly id: string }) => Promise<Accepted | Rejected>

/** Effects that have waited this long, or are this many, are committed before the next event is handled. */
const commitAfterMs = 10
const commitAfterEvents = 1_000

/** Runs a handler event by event, and gathers what it emits, so that a page of quick events is committed at once. */
export function handlerWorker(handler: AnyHandler, store: EventStore, sendCommand: SendCommand): Worker {
  const definitions = Object.fromEntries(handler.on.map((definition) => [definition.type, definition]))
  const mayEmit = new Set(handler.emits.map(({ type }) => type))

  return {
    types: Object.keys(definitions),
    begin() {},
    async process(events, { signal, attempt }): Promise<Work> {
      const appends: StreamAppend[] = []
      let through: number | undefined
      let count = 0
      const startedMs = store.environment.clock.now()
      for (const [index, stored] of events.entries()) {
        try {
          const event = decodeEvent(definitions, stored, `the handler ${handler.name}`)
          const emitted = await handleOne(event, index === 0 ? attempt : 1, signal)
          if (emitted) appends.push(emitted)
          count += emitted?.events.length ?? 0
          through = event.position
        } catch (error) {
          return { through, effects: { appends }, failure: { event: stored, error } }
        }
        if (signal.aborted || count >= commitAfterEvents || store.environment.clock.now() - startedMs >= commitAfterMs) break
      }
      return { through, effects: { appends } }
    },
  }

  async function handleOne(event: RecordedEvent, attempt: number, signal: AbortSignal): Promise<StreamAppend | undefined> {
    const emitted: NewEvent[] = []
    let sent = 0
    const context = {
      emit: (...newEvents: readonly NewEvent[]) => {
        for (const { type } of newEvents)
          if (!mayEmit.has(type))
            throw new InvalidDefinitionError(`the handler ${handler.name} emits ${type}, which is not among its \`emits\``)
        emitted.push(...newEvents)
      },
      send: (command: AnyCommand, data: unknown) => sendCommand(command, data, { id: idFor(event, 'command', sent++) }),
      idempotencyKey: idFor(event, 'effect', 0),
      signal,
      attempt,
    }
    await onBehalfOf({ correlationId: event.correlationId, causationId: event.id }, () => handler.handle(event as never, context as never))
    if (emitted.length === 0) return undefined
    return {
      stream: handler.stream(event as never) ?? streamName(handler.name, idOf(event.stream)),
      expectedVersion: 'any',
      events: emitted.map((newEvent, index) =>
        store.encode({ id: idFor(event, 'event', index), correlationId: event.correlationId, causationId: event.id, ...newEvent }),
      ),
    }
  }

  function idFor(event: RecordedEvent, what: string, index: number): string {
    return uuidFrom(handler.name, event.source, event.id, what, String(index))
  }
}
