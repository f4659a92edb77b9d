import { AsyncLocalStorage } from 'node:async_hooks'

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

export function currentContext(): MessageContext | undefined {
  return current.getStore()
}
