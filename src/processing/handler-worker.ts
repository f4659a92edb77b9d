import type { AnyCommand } from '../message/command.ts'
import { onBehalfOf } from '../message/context.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyEvent, NewEvent, RecordedEvent } from '../message/event.ts'
import { uuidFrom } from '../message/id.ts'
import type { Accepted, Rejected } from '../message/outcome.ts'
import { decodeEvent } from '../schema/upcast.ts'
import type { EventStore } from '../storage/event-store.ts'
import { idOf, streamName } from '../storage/stream-name.ts'
import type { StreamAppend } from '../storage/write-set.ts'
import type { AnyHandler } from './handler.ts'
import type { Run, Work, Worker } from './page-runner.ts'

/** How a handler's commands are carried out; the service knows by whom. */
export type SendCommand = (command: AnyCommand, data: unknown, options: { readonly id: string }) => Promise<Accepted | Rejected>

/** Effects that have waited this long, or are this many, are committed before the next event is handled. */
const commitAfterMs = 10
const commitAfterEvents = 1_000
/** Of handlers that do not wait, so many are run before the time is looked at. */
const checkAfterEvents = 32

/** Runs a handler event by event, and gathers what it emits, so that a page of quick events is committed at once. */
export class HandlerWorker implements Worker {
  readonly types: readonly string[]
  readonly #handler: AnyHandler
  readonly #store: EventStore
  readonly #sendCommand: SendCommand
  readonly #definitions: Readonly<Record<string, AnyEvent>>

  constructor(handler: AnyHandler, store: EventStore, sendCommand: SendCommand) {
    this.#handler = handler
    this.#store = store
    this.#sendCommand = sendCommand
    this.#definitions = Object.fromEntries(handler.on.map((definition) => [definition.type, definition]))
    this.types = Object.keys(this.#definitions)
  }

  begin(): void {}

  async process(events: readonly RecordedEvent[], { signal, attempt }: Run): Promise<Work> {
    const { clock } = this.#store.environment
    const handle = this.#handler.handle as (event: RecordedEvent, context: Context) => void | Promise<void>
    const reader = `the handler ${this.#handler.name}`
    const appends: StreamAppend[] = []
    let through: number | undefined
    let count = 0
    let unchecked = 0
    const startedMs = clock.now()
    for (const stored of events) {
      try {
        const event = decodeEvent(this.#definitions, stored, reader)
        const context = new Context(this.#handler, event, through === undefined ? attempt : 1, signal, this.#sendCommand)
        const pending = onBehalfOf({ correlationId: event.correlationId, causationId: event.id }, handle, event, context)
        // A page of handlers that are done when they return is worked off without giving way, and without looking at the time, at each event.
        if (pending === undefined) unchecked++
        else {
          await pending
          unchecked = checkAfterEvents
        }
        if (context.emitted.length > 0) {
          appends.push(this.#appendOf(event, context.emitted))
          count += context.emitted.length
        }
        through = event.position
      } catch (error) {
        return { through, effects: { appends }, failure: { event: stored, error } }
      }
      if (unchecked < checkAfterEvents && count < commitAfterEvents) continue
      unchecked = 0
      if (signal.aborted || count >= commitAfterEvents || clock.now() - startedMs >= commitAfterMs) break
    }
    return { through, effects: { appends } }
  }

  #appendOf(event: RecordedEvent, emitted: readonly NewEvent[]): StreamAppend {
    return {
      stream: this.#handler.stream(event as never) ?? streamName(this.#handler.name, idOf(event.stream)),
      expectedVersion: 'any',
      events: emitted.map((newEvent, index) =>
        this.#store.encode({
          ...newEvent,
          // The same at every attempt: an event that was emitted before the process died is not emitted again.
          id: newEvent.id ?? idFor(this.#handler, event, 'event', index),
          correlationId: newEvent.correlationId ?? event.correlationId,
          causationId: newEvent.causationId ?? event.id,
        }),
      ),
    }
  }
}

/** What the handler is given; `HandlerContext` is its type, which knows what this handler may emit and send. */
class Context {
  readonly emitted: NewEvent[] = []
  readonly attempt: number
  readonly signal: AbortSignal
  readonly #handler: AnyHandler
  readonly #event: RecordedEvent
  readonly #sendCommand: SendCommand
  #sent = 0

  constructor(handler: AnyHandler, event: RecordedEvent, attempt: number, signal: AbortSignal, sendCommand: SendCommand) {
    this.#handler = handler
    this.#event = event
    this.#sendCommand = sendCommand
    this.attempt = attempt
    this.signal = signal
  }

  get idempotencyKey(): string {
    return idFor(this.#handler, this.#event, 'effect', 0)
  }

  // Getters, so that `async (event, { emit }) => …` works, and costs nothing where it is not asked for.
  get emit(): (...events: readonly NewEvent[]) => void {
    return (...events) => {
      for (const { type } of events)
        if (!this.#handler.emits.some((declared) => declared.type === type))
          throw new InvalidDefinitionError(`the handler ${this.#handler.name} emits ${type}, which is not among its \`emits\``)
      this.emitted.push(...events)
    }
  }

  get send(): (command: AnyCommand, data: unknown) => Promise<Accepted | Rejected> {
    return (command, data) => this.#sendCommand(command, data, { id: idFor(this.#handler, this.#event, 'command', this.#sent++) })
  }
}

function idFor(handler: AnyHandler, event: RecordedEvent, what: string, index: number): string {
  return uuidFrom(handler.name, event.source, event.id, what, String(index))
}
