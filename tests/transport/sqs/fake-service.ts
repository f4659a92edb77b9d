import type { BatchResultErrorEntry, SendMessageBatchRequestEntry, SQSClient } from '@aws-sdk/client-sqs'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import type { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import type { TransportConnection } from '../../../src/transport/port.ts'
import type { SqsOptions } from '../../../src/transport/sqs/index.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'

interface Command {
  readonly input: {
    readonly QueueName?: string
    readonly QueueNamePrefix?: string
    readonly QueueUrl?: string
    readonly Entries?: readonly SendMessageBatchRequestEntry[]
    readonly Attributes?: Readonly<Record<string, string>>
  }
}

/** What the service answers to a request to send: an entry that is not named has succeeded. */
export type Answer = (queue: string, entries: readonly SendMessageBatchRequestEntry[], request: number) => Failures | Promise<Failures>
export type Failures = readonly Partial<BatchResultErrorEntry>[]

/** The half of SQS that publishers see, failing as it is told: no server that runs on this machine fails in parts. */
export class FakeService {
  /** Bodies by queue, in the order in which they were taken. */
  readonly queues = new Map<string, string[]>()
  readonly requests: string[][] = []
  answer: Answer = () => []
  isListed: (queue: string) => boolean = () => true

  async connect(options: SqsOptions = {}, metrics?: InMemoryMetrics): Promise<TransportConnection> {
    const client = { send: (command: Command) => this.#send(command), destroy: () => undefined } as unknown as SQSClient
    const transport = sqs({ client, queueCacheMs: 0, ...options })
    return transport.connect({ environment: environment({ log: silentLog, ...(metrics && { metrics }) }), clientName: 'test' })
  }

  async #send({ constructor, input }: Command): Promise<unknown> {
    await Promise.resolve()
    const name = input.QueueName ?? input.QueueUrl?.slice('http://sqs/'.length) ?? ''
    const queue = this.queues.get(name)
    switch (constructor.name) {
      case 'ListQueuesCommand':
        return {
          QueueUrls: [...this.queues.keys()].filter((one) => one.startsWith(input.QueueNamePrefix ?? '') && this.isListed(one)).map(urlOf),
        }
      case 'CreateQueueCommand':
        this.queues.set(name, queue ?? [])
        return { QueueUrl: urlOf(name) }
    }
    if (!queue) throw failure('AWS.SomeNameForNoSuchQueue', 400)
    switch (constructor.name) {
      case 'GetQueueUrlCommand':
        return { QueueUrl: urlOf(name) }
      case 'GetQueueAttributesCommand':
        return { Attributes: {} }
      case 'SendMessageBatchCommand': {
        const entries = input.Entries ?? []
        this.requests.push(entries.map((entry) => entry.MessageBody ?? ''))
        const Failed = await this.answer(name, entries, this.requests.length)
        const taken = entries.filter(({ Id }) => !Failed.some((failed) => failed.Id === Id))
        queue.push(...taken.map((entry) => entry.MessageBody ?? ''))
        return { Failed, Successful: taken.map(({ Id }) => ({ Id })) }
      }
      default:
        throw new Error(`unexpected: ${constructor.name}`)
    }
  }
}

/** As the client library throws what a service has answered. */
export function failure(name: string, httpStatusCode: number): Error {
  const fault = httpStatusCode < 500 ? 'client' : 'server'
  return Object.assign(new Error(`${name}, says the service`), { name, $fault: fault, $metadata: { httpStatusCode } })
}

function urlOf(name: string): string {
  return `http://sqs/${name}`
}
