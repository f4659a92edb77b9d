import type { AnyCommand } from '../message/command.ts'
import { isReject } from '../message/command.ts'
import { onBehalfOf } from '../message/context.ts'
import { InvalidDefinitionError } from '../message/errors.ts'
import type { NewEvent } from '../message/event.ts'
import type { Accepted, Rejected } from '../message/outcome.ts'
import { validate } from '../message/schema.ts'
import { CommandIdReusedError } from '../storage/errors.ts'
import type { EventStore } from '../storage/event-store.ts'
import type { AnyCommandHandler } from './command-handler.ts'
import type { CommandOptions } from './handle-command.ts'
import { completeCommand, recordedEvents } from './handle-command.ts'
import { firstOutcome, hashOf } from './receipt.ts'

/**
 * Carries out a command that has no aggregate: calls its handler once and appends what it emits.
 * @throws InvalidMessageError, CommandIdReusedError, StoreUnavailableError, and whatever the handler throws
 */
export async function runCommandHandler(
  store: EventStore,
  handler: AnyCommandHandler,
  input: unknown,
  options: CommandOptions = {},
): Promise<Accepted | Rejected> {
  const definition = handler.command as AnyCommand
  const data: unknown = validate(definition.schema, input, definition.type)
  const command = completeCommand(definition.type, data, options, store.environment.clock.now())
  const stream = handler.stream(command as never)
  const receipt = options.id === undefined ? undefined : { commandId: options.id, target: stream, payloadHash: hashOf(data) }
  const known = receipt && (await store.driver.findReceipt(receipt.commandId))
  if (known) return firstOutcome(store, known, receipt)

  const emitted: NewEvent[] = []
  const mayEmit = new Set((handler.emits as readonly { readonly type: string }[]).map(({ type }) => type))
  const context = {
    emit: (...events: readonly NewEvent[]) => {
      for (const { type } of events)
        if (!mayEmit.has(type))
          throw new InvalidDefinitionError(`the handler of ${definition.type} emits ${type}, which is not among its \`emits\``)
      emitted.push(...events)
    },
    idempotencyKey: command.id,
  }
  return onBehalfOf({ correlationId: command.correlationId, causationId: command.id }, async () => {
    const refused = await handler.handle(command as never, context as never)
    if (isReject(refused)) return { ok: false, code: refused.rejected, message: refused.message }
    const events = emitted.map((event) => store.encode(event))
    const appends = events.length > 0 ? [{ stream, expectedVersion: 'any' as const, events }] : []
    if (!receipt && events.length === 0) return { ok: true, position: (await store.log()).head, version: 0, events: [], duplicate: false }
    try {
      const committed = await store.commit({ appends, ...(receipt && { receipt: { ...receipt, version: 0 } }) })
      const position = events.length > 0 ? committed.position : (await store.log()).head
      return {
        ok: true,
        position,
        version: committed.versions[0] ?? 0,
        events: recordedEvents(stream, emitted, events, committed.firstPosition, committed.versions[0] ?? 0),
        duplicate: false,
      }
    } catch (error) {
      // The same command came in twice at once: the other one was faster.
      const first = receipt && error instanceof CommandIdReusedError ? await store.driver.findReceipt(receipt.commandId) : undefined
      if (!receipt || !first) throw error
      return firstOutcome(store, first, receipt)
    }
  })
}
