import type { Message } from '@aws-sdk/client-sqs'
import { frameAttribute } from './wire.ts'

/** Amazon's limit of `DelaySeconds`. What is put off by it is not in flight, and so any number of messages can wait. */
const maxDelaySec = 900

/**
 * For how long a message can be hidden once it was received: Amazon's limit of twelve hours counts from then, and this request comes a little later. What is not due afterwards is
 * hidden again.
 */
export const maxHiddenSec: number = 43_000

/**
 * FIFO queues know no delay of a single message. There a message carries when it is due, by the publisher's clock, and whoever receives it too early, by his own, hides it until then.
 * Such a message is in flight, of which Amazon allows 120,000 a queue: with more, nothing comes from it any more. Standard queues do it themselves, for less time.
 */
export function maxDelayMsOf(fifo: boolean): number {
  return fifo ? 12 * 3_600_000 : maxDelaySec * 1_000
}

/** When the message is due, in milliseconds since 1970; 0: at any time. */
export function dueMsOf({ MessageAttributes }: Message): number {
  const frame = MessageAttributes?.[frameAttribute]?.StringValue
  // Few say so, and to parse it twice costs as much as the rest of them.
  if (!frame?.includes('"deliverAtMs":')) return 0
  try {
    const { deliverAtMs } = JSON.parse(frame) as { readonly deliverAtMs?: unknown }
    return typeof deliverAtMs === 'number' ? deliverAtMs : 0
  } catch {
    return 0
  }
}
