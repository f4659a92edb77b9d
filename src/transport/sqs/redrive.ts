import { TopicMismatchError } from '../errors.ts'
import type { TopicSpec } from '../port.ts'

export interface SqsRedrive {
  /**
   * So many times a message is given out before SQS puts it aside, 10 to 1,000. Default: 1,000. In a FIFO queue one that is put off is given out once or twice before it is
   * due, and each process that ends gives back what it had not begun with: fewer would put aside what nobody has tried.
   */
  readonly maxReceiveCount?: number
}

/** Amazon's longest. A message keeps the age that it had. */
export const deadLettersKeptSec: number = 1_209_600

/** As it stands among the attributes of a queue. */
export interface RedrivePolicy {
  readonly deadLetterTargetArn: string
  readonly maxReceiveCount: number
}

/** True when the queue has this policy, false when it has none. @throws TopicMismatchError when it has another one */
export function hasPolicy(topic: TopicSpec['name'], group: string, actual: string | undefined, wanted: RedrivePolicy): boolean {
  if (!actual) return false
  const { deadLetterTargetArn, maxReceiveCount } = readPolicy(actual)
  // Some say the number as a text.
  if (deadLetterTargetArn === wanted.deadLetterTargetArn && Number(maxReceiveCount) === wanted.maxReceiveCount) return true
  throw new TopicMismatchError(topic, `RedrivePolicy of the group ${group}`, JSON.stringify(wanted), actual)
}

function readPolicy(text: string): Readonly<Partial<Record<keyof RedrivePolicy, unknown>>> {
  try {
    const parsed: unknown = JSON.parse(text)
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}
