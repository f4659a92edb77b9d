import type * as Sdk from '@aws-sdk/client-sqs'
import type { Environment } from '../../observability/environment.ts'
import { describeError } from '../../observability/log.ts'
import { MissingPackageError } from '../../storage/errors.ts'
import { TransportUnavailableError } from '../errors.ts'
import { isUnanswered } from './failure.ts'
import type { SqsOptions } from './options.ts'

/** A request that is not answered by then is given up, and its connection with it. */
const answerTimeoutMs = 10_000

/** Each long poll occupies a connection; the SDK's 50 would be used up by the groups of a few services. */
const maxSockets = 1_000

/**
 * Loads the client library and sees that the service answers.
 * @throws MissingPackageError, TransportUnavailableError
 */
export async function openClient(options: SqsOptions, clientName: string, environment: Environment): Promise<SqsClient> {
  const sdk = await importSdk()
  const client = options.client ?? new sdk.SQSClient(configure(options, clientName))
  const opened = new SqsClient(sdk, client, options.client === undefined, environment)
  try {
    await opened.listQueues({ MaxResults: 1 })
    return opened
  } catch (error) {
    opened.destroy()
    throw new TransportUnavailableError(`${options.endpoint ?? 'Amazon SQS'} cannot be used: ${describeError(error)}`, { cause: error })
  }
}

/** The requests that are made of SQS, each with a time limit. A failure is the caller's to try again: the library's own retries are off. */
export class SqsClient {
  readonly #sdk: typeof Sdk
  readonly #client: Sdk.SQSClient
  readonly #isOwned: boolean
  readonly #environment: Environment
  #isReachable = true

  constructor(sdk: typeof Sdk, client: Sdk.SQSClient, isOwned: boolean, environment: Environment) {
    this.#sdk = sdk
    this.#client = client
    this.#isOwned = isOwned
    this.#environment = environment
  }

  createQueue(input: Sdk.CreateQueueCommandInput): Promise<Sdk.CreateQueueCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.CreateQueueCommand(input), options))
  }

  getQueueUrl(input: Sdk.GetQueueUrlCommandInput): Promise<Sdk.GetQueueUrlCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.GetQueueUrlCommand(input), options))
  }

  getQueueAttributes(input: Sdk.GetQueueAttributesCommandInput): Promise<Sdk.GetQueueAttributesCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.GetQueueAttributesCommand(input), options))
  }

  listQueues(input: Sdk.ListQueuesCommandInput): Promise<Sdk.ListQueuesCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.ListQueuesCommand(input), options))
  }

  sendMessageBatch(input: Sdk.SendMessageBatchCommandInput): Promise<Sdk.SendMessageBatchCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.SendMessageBatchCommand(input), options))
  }

  receiveMessage(input: Sdk.ReceiveMessageCommandInput): Promise<Sdk.ReceiveMessageCommandOutput> {
    const timeoutMs = answerTimeoutMs + (input.WaitTimeSeconds ?? 0) * 1_000
    return this.#call((options) => this.#client.send(new this.#sdk.ReceiveMessageCommand(input), options), timeoutMs)
  }

  deleteMessageBatch(input: Sdk.DeleteMessageBatchCommandInput): Promise<Sdk.DeleteMessageBatchCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.DeleteMessageBatchCommand(input), options))
  }

  changeVisibilityBatch(input: Sdk.ChangeMessageVisibilityBatchCommandInput): Promise<Sdk.ChangeMessageVisibilityBatchCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.ChangeMessageVisibilityBatchCommand(input), options))
  }

  setQueueAttributes(input: Sdk.SetQueueAttributesCommandInput): Promise<Sdk.SetQueueAttributesCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.SetQueueAttributesCommand(input), options))
  }

  startMessageMoveTask(input: Sdk.StartMessageMoveTaskCommandInput): Promise<Sdk.StartMessageMoveTaskCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.StartMessageMoveTaskCommand(input), options))
  }

  listMessageMoveTasks(input: Sdk.ListMessageMoveTasksCommandInput): Promise<Sdk.ListMessageMoveTasksCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.ListMessageMoveTasksCommand(input), options))
  }

  cancelMessageMoveTask(input: Sdk.CancelMessageMoveTaskCommandInput): Promise<Sdk.CancelMessageMoveTaskCommandOutput> {
    return this.#call((options) => this.#client.send(new this.#sdk.CancelMessageMoveTaskCommand(input), options))
  }

  destroy(): void {
    if (this.#isOwned) this.#client.destroy()
  }

  async #call<T>(send: (options: { abortSignal: AbortSignal }) => Promise<T>, timeoutMs = answerTimeoutMs): Promise<T> {
    const abortSignal = AbortSignal.timeout(timeoutMs)
    try {
      const output = await send({ abortSignal })
      this.#noteReachable(true)
      return output
    } catch (thrown) {
      const error = abortSignal.aborted ? new Error(`no answer within ${timeoutMs} ms`, { cause: thrown }) : thrown
      this.#noteReachable(!isUnanswered(error), error)
      throw error
    }
  }

  /** There is no connection to lose: what is counted is when the service stops to answer, whatever number of requests notice it. */
  #noteReachable(isReachable: boolean, error?: unknown): void {
    if (isReachable === this.#isReachable) return
    this.#isReachable = isReachable
    const { log, metrics } = this.#environment
    if (isReachable) log('info', 'SQS answers again')
    else {
      metrics.count('headwater_transport_disconnects_total', 1, { transport: 'sqs' })
      log('warn', 'SQS does not answer', { error })
    }
  }
}

function configure({ endpoint, region, credentials }: SqsOptions, clientName: string): Sdk.SQSClientConfig {
  const known = region ?? process.env['AWS_REGION'] ?? process.env['AWS_DEFAULT_REGION']
  return {
    ...(endpoint !== undefined && { endpoint, region: known ?? 'us-east-1' }),
    ...(region !== undefined && { region }),
    ...(credentials !== undefined && { credentials }),
    maxAttempts: 1,
    customUserAgent: [['headwater', clientName.replaceAll(/[^\w.-]/g, '-')]],
    requestHandler: { connectionTimeout: 5_000, httpAgent: { maxSockets }, httpsAgent: { maxSockets } },
  }
}

async function importSdk(): Promise<typeof Sdk> {
  try {
    return await import('@aws-sdk/client-sqs')
  } catch (error) {
    throw new MissingPackageError('@aws-sdk/client-sqs', 'the transport for Amazon SQS', error)
  }
}
