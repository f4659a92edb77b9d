import type { SQSClient, SQSClientConfig } from '@aws-sdk/client-sqs'
import type { Transport } from '../port.ts'
import { openClient } from './client.ts'
import { SqsConnection } from './connection.ts'
import type { SqsRedrive } from './redrive.ts'
import { resolveSettings } from './settings.ts'

export { sqsDeadLetters } from './dead-letters.ts'
export type { SqsDeadLetters, SqsMove } from './dead-letters.ts'
export type { SqsRedrive } from './redrive.ts'

export interface SqsOptions {
  /** Where the service is, for a VPC endpoint or another server that speaks its protocol. Default: Amazon's, of the region. */
  readonly endpoint?: string
  /** Default: as the AWS SDK finds it (`AWS_REGION`, the profile); with an `endpoint`, and nothing found, `us-east-1`. */
  readonly region?: string
  /** Default: as the AWS SDK finds them (environment, profile, role of the machine). */
  readonly credentials?: NonNullable<SQSClientConfig['credentials']>
  /** A client of your own, in place of the three above. It is not destroyed with the connection; its `maxSockets` must be enough for every long poll. */
  readonly client?: SQSClient
  /**
   * FIFO queues: messages of a key in order, duplicates dropped by id for five minutes. False: standard queues, which promise neither and have no limit of
   * throughput. Both sides must say the same. Default: true.
   */
  readonly fifo?: boolean
  /** Before the name of each queue, to keep environments in one account apart: letters, digits, `-` and `_`, at most 20. Default: none. */
  readonly queuePrefix?: string
  /** How long a message is tried to be sent. Default: 30,000. */
  readonly publishTimeoutMs?: number
  /**
   * Lets several messages of one key travel in one request: up to ten times as fast where there are few keys. But SQS judges each message of a request by itself, and
   * when it could not take one for a passing reason and took the next, the two have changed places; FIFO queues are no exception, and nobody can take back what a queue has, since
   * only who receives a message may delete it. Default: false, one message of a key at a time.
   */
  readonly batchSameKey?: boolean
  /** How long a request waits for messages, 0 to 20. A longer time costs fewer requests; closing a subscription takes as long at most. Default: 5. */
  readonly waitTimeSec?: number
  /**
   * After how long the messages of a consumer that died are given to another one, 2 to 43,200. One that lives extends the time of what it holds, for up
   * to Amazon's limit of twelve hours. Default: 30.
   */
  readonly visibilityTimeoutSec?: number
  /**
   * How long a publisher relies on the list of a topic's queues before it asks again. A group that is new waits as long before `ensureGroup` resolves, so that
   * no publisher with the same setting misses it. Default: 2,000.
   */
  readonly queueCacheMs?: number
  /**
   * Lets SQS itself put a message aside that was given out very often, into the queue `<that of the group>--dlq`, which is made with the group's; a group that has another policy is a
   * `topic-mismatch`. Headwater counts attempts in the store, and finds out there what kills a process; this is a last net under a message that ends every process before anything
   * can be written down. What is put aside is taken out of the order of its
   * key. See `sqsDeadLetters`; the metric `headwater_transport_dead_letters` says how many there are. Default: off, nothing is put aside.
   */
  readonly redrive?: SqsRedrive
}

/**
 * Amazon SQS, by `@aws-sdk/client-sqs`.
 *
 * SQS has queues and no topics. Each group of a topic is a queue, `<prefix><topic>--<group>.fifo`; a queue `<prefix><topic>.fifo`, which is never sent
 * anything, stands for the topic and holds the settings that queues of its groups are made with. A group gets what is published after its queue was made
 * (`startAt: 'end'`); SQS keeps no history to go back in. Characters that a queue's name may not have are written as `_` and their code; long names are cut.
 *
 * **Publishing to a topic sends to the queue of every group, and is not atomic.** A message is sent again until every queue has confirmed it. One that was not confirmed
 * in time may be in some queues and not in others; publishing it again, with the same id, gives it to the rest, and FIFO queues that have it drop the repetition (for
 * five minutes; a queue's deduplication id is the message's id). To a topic without groups a message is confirmed, and gone.
 *
 * Order: `'group'`, the key being the message group (a message without a key is a group of its own); with `fifo: false`, `'none'`. A message is at most 1 MiB. A
 * CloudEvent is sent in structured mode, see encode.ts; what other programs sent is read however it comes, see decode.ts.
 *
 * A message can be put off: by 15 minutes in a standard queue, in whole seconds; by 12 hours in a FIFO queue, by the clocks of publisher and consumer, where it is out of order with
 * its key, and in flight: of those Amazon allows 120,000 a queue.
 *
 * It needs the permissions SendMessage, ReceiveMessage, DeleteMessage, ChangeMessageVisibility, GetQueueUrl, GetQueueAttributes and ListQueues, and, to
 * make topics and groups, CreateQueue; with `redrive`, SetQueueAttributes.
 * @throws InvalidDefinitionError when an option is out of its range
 */
export function sqs(options: SqsOptions = {}): Transport {
  const settings = resolveSettings(options)
  return {
    name: 'sqs',
    async connect({ environment, clientName }) {
      return new SqsConnection(await openClient(options, clientName, environment), settings, environment)
    },
  }
}
