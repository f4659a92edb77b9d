import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'

/** The message on whose behalf code runs now; what it sends or appends is correlated with it. */
export interface MessageContext {
  readonly correlationId: string
  /** The id of the message being handled. */
  readonly causationId: string
}

const current = new AsyncLocalStorage<MessageContext>()

/** Runs `work` on behalf of a message: commands sent and events appended inside, however deep, carry its correlation and causation. */
export function onBehalfOf<Arguments extends readonly unknown[], T>(
  context: MessageContext,
  work: (...args: Arguments) => T,
  ...args: Arguments
): T {
  return current.run(context, work, ...args)
}

/**
 * Where code runs on behalf of one message after another. It is `onBehalfOf` for a third of the price, as nothing of the caller's is taken along: what the code
 * finds in other storages of this kind is what was there when the place was made.
 */
export class MessagePlace {
  readonly #surroundings = new AsyncResource('headwater')

  run<Arguments extends readonly unknown[], T>(context: MessageContext, work: (...args: Arguments) => T, ...args: Arguments): T {
    return this.#surroundings.runInAsyncScope(enter<Arguments, T>, undefined, context, work, ...args)
  }
}

function enter<Arguments extends readonly unknown[], T>(context: MessageContext, work: (...args: Arguments) => T, ...args: Arguments): T {
  // It ends with the scope.
  current.enterWith(context)
  return work(...args)
}

export function currentContext(): MessageContext | undefined {
  return current.getStore()
}
