import type { SQSClient, SQSClientConfig } from '@aws-sdk/client-sqs'
import type { SqsRedrive } from './redrive.ts'

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
