import type { ConsumedTopic } from '../../service/messaging.ts'
import { UnknownTopicError } from '../../transport/errors.ts'
import type { BrokerDeadLetters, BrokerMove, TransportConnection } from '../../transport/port.ts'
import { FailedError } from '../exit-codes.ts'

/** What the broker has put aside of what a handler gets from a topic. */
export interface BrokerLetters extends ConsumedTopic {
  /** Null where the broker is not set to put anything aside. */
  readonly messages: number | null
  readonly lastMove: BrokerMove | null
}

/** @throws FailedError for a broker that puts nothing aside by itself */
export function requireBrokerDeadLetters({ capabilities, deadLetters }: TransportConnection): BrokerDeadLetters {
  if (deadLetters) return deadLetters
  throw new FailedError(
    `only Amazon SQS puts messages aside by itself (\`redrive\` of sqs), not ${capabilities.name}: all dead letters are in the store, see headwater dead-letters list`,
  )
}

export async function countBrokerLetters(dead: BrokerDeadLetters, consumed: ConsumedTopic): Promise<BrokerLetters> {
  const { topic, group } = consumed
  try {
    const messages = await dead.count(topic, group)
    const [lastMove = null] = await dead.moves(topic, group).catch(() => [])
    return { ...consumed, messages, lastMove }
  } catch (error) {
    if (error instanceof UnknownTopicError) return { ...consumed, messages: null, lastMove: null }
    throw error
  }
}
