import { describeError } from '../../observability/log.ts'
import type { ReceivedMessage } from '../port.ts'
import { deadLetterTopicOf } from '../topic.ts'
import type { TopicRecord } from './client/transactional-sender.ts'
import { addHeaders, toRecord } from './records.ts'

const maxMessageLength = 2_000
const maxStackLength = 4_000

/** How many bytes a dead letter can be larger than its message. */
export const deadLetterOverhead = 32_000

/**
 * The message as it was, with what became of it in headers of the names and formats that Spring Kafka's `DeadLetterPublishingRecoverer` writes: numbers are
 * big-endian, texts UTF-8. It goes to the partition of the same number, as there.
 */
export function toDeadLetter(message: ReceivedMessage, group: string, error: unknown): TopicRecord {
  const { topic, partition = 0, offset = 0, timeMs = 0 } = message
  const { name, stack = '' } = error instanceof Error ? error : { name: typeof error }
  const headers: Readonly<Record<string, Buffer>> = {
    'kafka_dlt-original-topic': Buffer.from(topic),
    'kafka_dlt-original-partition': int32(partition),
    'kafka_dlt-original-offset': int64(offset),
    'kafka_dlt-original-timestamp': int64(timeMs),
    'kafka_dlt-original-consumer-group': Buffer.from(group),
    'kafka_dlt-exception-fqcn': Buffer.from(name.slice(0, 200)),
    'kafka_dlt-exception-message': Buffer.from(describeError(error).slice(0, maxMessageLength)),
    'kafka_dlt-exception-stacktrace': Buffer.from(stack.slice(0, maxStackLength)),
  }
  return { ...addHeaders(toRecord(message), headers), topic: deadLetterTopicOf(topic), partition }
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function int64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigInt64BE(BigInt(value))
  return bytes
}
