import { InvalidDefinitionError } from '../message/errors.ts'
import type { Topic } from '../transport/topic.ts'
import { deadLetterTopicOf } from '../transport/topic.ts'

/** Where a handler's failed messages wait on the broker before they are tried again. */
export interface RetryTopicsOptions {
  /**
   * How long a message waits in each of the retry topics, in milliseconds, ascending: after its first failure so long in the first one, after its second so
   * long in the second one, and so on. From 1 to 10 whole numbers, each from 1 to 43,200,000 (12 hours). Default: 5 seconds, 1 minute, 10 minutes.
   */
  readonly delaysMs?: readonly number[]
}

const maxTiers = 10
/** So long a message may be in hand on Amazon SQS, the shortest of all brokers' limits that nobody can change. */
const maxDelayMs = 12 * 60 * 60 * 1_000

/** @throws InvalidDefinitionError */
export function retryDelaysMs(handler: string, { delaysMs = [5_000, 60_000, 600_000] }: RetryTopicsOptions = {}): readonly number[] {
  const isFine = delaysMs.every(
    (delay, tier) => Number.isSafeInteger(delay) && delay >= 1 && delay <= maxDelayMs && delay >= (delaysMs[tier - 1] ?? 0),
  )
  if (isFine && delaysMs.length >= 1 && delaysMs.length <= maxTiers) return [...delaysMs]
  throw new InvalidDefinitionError(
    `the handler ${handler}: retryTopics.delaysMs must be 1 to ${maxTiers} ascending whole numbers from 1 to ${maxDelayMs} (12 hours), ` +
      `not [${delaysMs.join(', ')}]`,
  )
}

/** One place at which a handler gets the messages of a topic: the topic itself, or one of its retry topics. */
export interface RetryStage {
  /** The topic that is read here; the messages of a retry topic are those of the first one, and are read as those are. */
  readonly topic: Topic
  /** The topic itself. */
  readonly first: Topic
  /** Which attempt a message gets here: 1 on the topic itself. */
  readonly attempt: number
  /** How long messages wait here before they are tried. */
  readonly delayMs: number
  /** Where those go that fail here; undefined at the last one. */
  readonly next: RetryStage | undefined
}

/** The topic itself and its retry topics, in the order in which a message that fails comes through them. */
export function retryStages(topic: Topic, group: string, delaysMs: readonly number[]): readonly RetryStage[] {
  let next: RetryStage | undefined
  const stages: RetryStage[] = []
  for (let tier = delaysMs.length; tier >= 0; tier--) {
    const own = tier === 0 ? topic : derived(topic, `${topic.name}.${group}.retry-${tier}`)
    next = { topic: own, first: topic, attempt: tier + 1, delayMs: tier === 0 ? 0 : delaysMs[tier - 1]!, next }
    stages.unshift(next)
  }
  return stages
}

/** Where copies of the messages go that were given up, for other programs to see; all groups of a topic share it. */
export function deadLetterTopic(topic: Topic): Topic {
  return derived(topic, deadLetterTopicOf(topic.name))
}

/**
 * With as many partitions, so that what is in order by key stays so. How long it is kept is the broker's to say. What came in an order by number has had its
 * turn: only some of a stream come here, and late.
 */
function derived(topic: Topic, name: string): Topic {
  const { partitions } = topic.spec
  return { ...topic, name, sequenced: undefined, spec: { name, ...(partitions !== undefined && { partitions }) } }
}
