import {
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import type { SendMessageBatchRequestEntry } from '@aws-sdk/client-sqs'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import type { Broker, RawClient } from './broker.ts'
import { inParts } from './broker.ts'

/** Of either side, sending or receiving; more gain nothing. */
const requests = 8
const perRequest = 10

export const sqsBroker: Broker = {
  name: 'Amazon SQS',
  variable: 'SQS_ENDPOINT',
  messages: 4_000,
  published: 2_000,
  pipelineBar: 0.9,
  async open(endpoint) {
    const access = { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'benchmark', secretAccessKey: 'benchmark' } }
    const client = new SQSClient(access)
    return {
      transport: sqs({ ...access, waitTimeSec: 1, queueCacheMs: 50 }),
      raw: rawClient(client),
      async remove(topic) {
        const { QueueUrls = [] } = await client.send(new ListQueuesCommand({ QueueNamePrefix: topic }))
        for (const QueueUrl of QueueUrls) await client.send(new DeleteQueueCommand({ QueueUrl }))
      },
      [Symbol.asyncDispose]: async () => client.destroy(),
    }
  },
}

function rawClient(client: SQSClient): RawClient {
  const urlOf = async (topic: string, group: string): Promise<string> => {
    const { QueueUrl } = await client.send(new GetQueueUrlCommand({ QueueName: `${topic}--${group}.fifo` }))
    return QueueUrl!
  }
  return {
    about: `@aws-sdk/client-sqs on FIFO queues: ${requests} requests of ${perRequest} messages at once, which keeps no order among those it sends; the server is whatever SQS_ENDPOINT names`,
    async publish(topic, messages, pace) {
      const QueueUrl = await urlOf(topic, sentTo)
      await inParts(messages, perRequest, requests, async (part) => {
        const { Failed = [] } = await client.send(new SendMessageBatchCommand({ QueueUrl, Entries: part.map(entryOf) }))
        if (Failed.length > 0) throw new Error(`SQS refused ${Failed.length} messages: ${Failed[0]?.Message}`)
        pace.add(part.length)
      })
    },
    async consume(topic, group, pace) {
      const QueueUrl = await urlOf(topic, group)
      const receive = new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: perRequest,
        WaitTimeSeconds: 1,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      })
      const run = async (): Promise<void> => {
        while (!pace.isOver) {
          const { Messages = [] } = await client.send(receive)
          if (Messages.length === 0) continue
          for (const { Body } of Messages) JSON.parse(Body!)
          const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle: ReceiptHandle! }))
          await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
          pace.add(Messages.length)
        }
      }
      await Promise.all(Array.from({ length: requests }, run))
    },
  }
}

/** A topic is the queues of its groups; what is published is sent to that of this one. */
export const sentTo = 'all'

function entryOf({ id, key, attributes, body }: OutgoingMessage, index: number): SendMessageBatchRequestEntry {
  const text = `${JSON.stringify(attributes).slice(0, -1)},"data":${Buffer.from(body).toString()}}`
  return { Id: String(index), MessageBody: text, MessageGroupId: key!, MessageDeduplicationId: id }
}
