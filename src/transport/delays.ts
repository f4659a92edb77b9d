import { UnsupportedByTransportError } from './errors.ts'
import type { OutgoingMessage, PublishOutcome, TransportCapabilities } from './port.ts'

type Limits = Pick<TransportCapabilities, 'name' | 'maxDelayMs'>

/**
 * Publishes the messages whose `delayMs` the transport can keep; the others are refused by themselves, before anything is sent. Every adapter publishes
 * through it, so that a delay means the same everywhere. `publish` is called in the same turn, with the very messages when none of them is refused.
 */
export async function publishDelayable(
  limits: Limits,
  messages: readonly OutgoingMessage[],
  publish: (messages: readonly OutgoingMessage[]) => Promise<readonly PublishOutcome[]>,
): Promise<readonly PublishOutcome[]> {
  if (messages.every(({ delayMs = 0 }) => isPossible(delayMs, limits))) return publish(messages)
  const published = await publish(messages.filter(({ delayMs = 0 }) => isPossible(delayMs, limits)))
  let next = 0
  return messages.map((message): PublishOutcome => {
    const { delayMs = 0 } = message
    return isPossible(delayMs, limits) ? published[next++]! : { ok: false, refused: true, error: refusalOf(message.id, delayMs, limits) }
  })
}

/** Of what is not a number nothing is true. */
function isPossible(delayMs: number, { maxDelayMs }: Limits): boolean {
  return delayMs >= 0 && delayMs <= maxDelayMs
}

function refusalOf(id: string, delayMs: number, { name, maxDelayMs }: Limits): Error {
  const limit = maxDelayMs === 0 ? `${name} gives out no message later (maxDelayMs is 0)` : `maxDelayMs of ${name} is ${maxDelayMs}`
  return new UnsupportedByTransportError(`the message ${id} cannot be put off by ${delayMs} ms: ${limit}`)
}
