import type { AnyCommand } from '../message/command.ts'
import { MessagePlace } from '../message/context.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyEvent, NewEvent, RecordedEvent } from '../message/event.ts'
import { uuidFrom } from '../message/id.ts'
import type { Accepted, Rejected } from '../message/outcome.ts'
import { isThenable } from '../message/thenable.ts'
import { decodeEvent } from '../schema/upcast.ts'
import { checkName } from '../storage/encode.ts'
import { InvalidEventError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import { idOf, streamName } from '../storage/stream-name.ts'
import type { StreamAppend } from '../storage/write-set.ts'
import type { AnyHandler } from './handler.ts'

/** How a handler's commands are carried out; the service knows by whom. */
export type SendCommand = (command: AnyCommand, data: unknown, options: { readonly id: string }) => Promise<Accepted | Rejected>

/** Calls a handler with an event. */
export class HandlerCaller {
  readonly handler: AnyHandler
  readonly types: readonly string[]
  readonly #store: EventStore
  readonly #sendCommand: SendCommand
  readonly #definitions: Readonly<Record<string, AnyEvent>>
  readonly #reader: string
  readonly #place = new MessagePlace()

  constructor(handler: AnyHandler, store: EventStore, sendCommand: SendCommand) {
    this.handler = handler
    this.#store = store
    this.#sendCommand = sendCommand
    this.#definitions = Object.fromEntries(handler.on.map((definition) => [definition.type, definition]))
    this.#reader = `the handler ${handler.name}`
    this.types = Object.keys(this.#definitions)
  }

  /** Begins an attempt. What it emits is `effects` once it has ended; it has ended when this returns, unless `pending` says when. Throws what the handler throws. */
  call(stored: RecordedEvent, attempt: number): HandlerCall {
    const event = decodeEvent(this.#definitions, stored, this.#reader)
    const call = new HandlerCall(this.handler, event, attempt, this.#store, this.#sendCommand)
    call.begin(this.#place)
    return call
  }
}

/** One attempt, and what the handler is given; `HandlerContext` is its type, which knows what this handler may emit and send. */
export class HandlerCall {
  /** Undefined when the handler was done as it returned. */
  pending: Promise<void> | undefined
  readonly attempt: number
  readonly #handler: AnyHandler
  readonly #event: RecordedEvent
  readonly #store: EventStore
  readonly #sendCommand: SendCommand
  #emitted: NewEvent[] | undefined
  #controller: AbortController | undefined
  #stoppedWith: Error | undefined
  /** Why it was given up. */
  abortedWith: Error | undefined
  #sent = 0

  constructor(handler: AnyHandler, event: RecordedEvent, attempt: number, store: EventStore, sendCommand: SendCommand) {
    this.#handler = handler
    this.#event = event
    this.attempt = attempt
    this.#store = store
    this.#sendCommand = sendCommand
  }

  begin(place: MessagePlace): void {
    const handle = this.#handler.handle as (event: RecordedEvent, context: HandlerCall) => void | Promise<void>
    const { correlationId, id } = this.#event
    const returned: unknown = place.run({ correlationId, causationId: id }, handle, this.#event, this)
    this.pending = isThenable(returned) ? Promise.resolve(returned as PromiseLike<void>) : undefined
  }

  get idempotencyKey(): string {
    return idFor(this.#handler, this.#event, 'effect', 0)
  }

  // Getters, so that `async (event, { emit }) => …` works, and costs nothing where it is not asked for.
  get emit(): (...events: readonly NewEvent[]) => void {
    return (...events) => {
      // What is emitted by a handler that was given up would be neither stored nor refused.
      if (this.abortedWith) throw this.abortedWith
      for (const { type } of events)
        if (!this.#handler.emits.some((declared) => declared.type === type))
          throw new InvalidDefinitionError(`the handler ${this.#handler.name} emits ${type}, which is not among its \`emits\``)
      this.#emitted ??= []
      this.#emitted.push(...events)
    }
  }

  get send(): (command: AnyCommand, data: unknown) => Promise<Accepted | Rejected> {
    return async (command, data) => {
      if (this.abortedWith) throw this.abortedWith
      return this.#sendCommand(command, data, { id: idFor(this.#handler, this.#event, 'command', this.#sent++) })
    }
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#stoppedWith) this.#controller.abort(this.#stoppedWith)
    }
    return this.#controller.signal
  }

  /** Gives the attempt up: the handler is told, and can have no more effects in the store. */
  abort(reason: Error): void {
    this.abortedWith ??= reason
    this.stop(reason)
  }

  /** Asks the handler to come to an end. Should it finish all the same, what it did counts. */
  stop(reason: Error): void {
    this.#stoppedWith ??= reason
    this.#controller?.abort(reason)
  }

  /**
   * What is to be appended for it, checked: it is committed together with what other messages have led to, and must not be refused there.
   * @throws InvalidEventError
   */
  effects(): StreamAppend | undefined {
    if (!this.#emitted?.length) return undefined
    const event = this.#event
    const { limits } = this.#store
    const stream = this.#handler.stream(event as never) ?? streamName(this.#handler.name, idOf(event.stream))
    checkName(stream, `the stream of what ${this.#handler.name} emits`, limits)
    const events = this.#emitted.map((newEvent, index) =>
      this.#store.encode({
        ...newEvent,
        // The same at every attempt: an event that was emitted before the process died is not emitted again.
        id: newEvent.id ?? idFor(this.#handler, event, 'event', index),
        correlationId: newEvent.correlationId ?? event.correlationId,
        causationId: newEvent.causationId ?? event.id,
      }),
    )
    if (events.length > limits.maxEventsPerAppend)
      throw new InvalidEventError(
        `${this.#handler.name} emits ${events.length} events at once, at most ${limits.maxEventsPerAppend} are allowed`,
      )
    if (events.length > 1 && new Set(events.map(({ id, source }) => `${source}\n${id}`)).size < events.length)
      throw new InvalidEventError(`${this.#handler.name} emits two events of one id`)
    return { stream, expectedVersion: 'any', events }
  }
}

function idFor(handler: AnyHandler, event: RecordedEvent, what: string, index: number): string {
  return uuidFrom(handler.name, event.source, event.id, what, String(index))
}
