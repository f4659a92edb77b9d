import type { Transport } from '../port.ts'
import { openClient } from './client.ts'
import { SqsConnection } from './connection.ts'
import type { SqsOptions } from './options.ts'
import { resolveSettings } from './settings.ts'

export { sqsDeadLetters } from './dead-letters.ts'
export type { SqsDeadLetters, SqsMove } from './dead-letters.ts'
export type { SqsOptions } from './options.ts'
export type { SqsRedrive } from './redrive.ts'

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
