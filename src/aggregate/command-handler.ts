import type { AnyCommand, Command, CommandOf, Reject, RejectionOf } from '../message/command.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { AnyEvent, New } from '../message/event.ts'
import type { OneOrMany } from '../processing/handler.ts'
import { many } from '../processing/handler.ts'
import { streamName } from '../storage/stream-name.ts'

export interface CommandHandlerContext<Emits extends AnyEvent> {
  /** Stored together when the handler has returned; not at all when it rejects or throws. */
  emit(...events: [Emits] extends [never] ? ['this handler declares no `emits`'] : readonly New<Emits>[]): void
  /** The id of the command: pass it on to what is outside. */
  readonly idempotencyKey: string
}

export interface CommandHandlerOptions<Handled extends AnyCommand, Emits extends AnyEvent> {
  readonly emits?: OneOrMany<Emits>
  /** The stream of what it emits. Default: `<type of the command>:<id of the command>`. */
  readonly stream?: (command: CommandOf<Handled>) => string
}

export interface CommandHandler<Handled extends AnyCommand = AnyCommand, Emits extends AnyEvent = AnyEvent> {
  readonly kind: 'command-handler'
  readonly command: Handled
  readonly emits: readonly Emits[]
  stream(command: never): string
  handle(command: never, context: never): void | Reject<RejectionOf<Handled>> | Promise<void | Reject<RejectionOf<Handled>>>
}
// oxlint-disable-next-line typescript/no-explicit-any -- "some command handler", whatever its messages
export type AnyCommandHandler = CommandHandler<any, any>

/** A command without an aggregate behind it: what it emits is appended without an expectation. */
export function defineCommandHandler<Handled extends AnyCommand, Emits extends AnyEvent = never>(
  command: Handled,
  options: CommandHandlerOptions<Handled, Emits>,
  handle: (
    command: CommandOf<Handled>,
    context: CommandHandlerContext<Emits>,
  ) => void | Reject<RejectionOf<Handled>> | Promise<void | Reject<RejectionOf<Handled>>>,
): CommandHandler<Handled, Emits> {
  if (!command.type) throw new InvalidDefinitionError('a command handler needs a command')
  const ownStream = (received: Command): string => streamName(received.type, received.id)
  return { kind: 'command-handler', command, emits: many(options.emits), stream: options.stream ?? ownStream, handle }
}
