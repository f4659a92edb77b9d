import type { ListMessageMoveTasksResultEntry } from '@aws-sdk/client-sqs'
import { environment } from '../../observability/environment.ts'
import { InvalidDefinitionError } from '../../message/errors.ts'
import type { BrokerDeadLetters, BrokerMove } from '../port.ts'
import type { SqsClient } from './client.ts'
import { openClient } from './client.ts'
import type { SqsOptions } from './options.ts'
import { Queues } from './queues.ts'
import { retrying, translated } from './retry.ts'
import { resolveSettings } from './settings.ts'

/** The work of SQS itself that brings messages back. */
export type SqsMove = BrokerMove

/**
 * What SQS has put aside for the groups of a topic, see `redrive` of `SqsOptions`. A group is `<service>.<handler>`, as in `payments.charge`. `perSecond` is 1 to 500; of moves SQS lists
 * the last ten, and Amazon remembers them for a week.
 */
export interface SqsDeadLetters extends BrokerDeadLetters, AsyncDisposable {
  close(): Promise<void>
}

/**
 * Looks after what SQS has put aside, with the options of the transport. It needs the permissions StartMessageMoveTask, ListMessageMoveTasks, CancelMessageMoveTask, and, for its
 * moves, ReceiveMessage, DeleteMessage and GetQueueAttributes of the dead-letter queue and SendMessage of the group's.
 * @throws MissingPackageError, TransportUnavailableError, InvalidDefinitionError; its methods UnknownTopicError for a group that has no queue, or no dead-letter queue
 */
export async function sqsDeadLetters(options: SqsOptions = {}): Promise<SqsDeadLetters> {
  const settings = resolveSettings(options)
  const world = environment()
  const client = await openClient(options, 'dead-letters', world)
  const closed = new AbortController()
  const queues = new Queues(client, settings, world, retrying(world, closed.signal, settings.publishTimeoutMs))
  const close = async (): Promise<void> => {
    closed.abort()
    client.destroy()
  }
  return Object.assign(new DeadLetters(client, queues), { close, [Symbol.asyncDispose]: close })
}

/** The queues that SQS puts messages aside into, and its own work on them. */
export class DeadLetters implements BrokerDeadLetters {
  readonly #client: SqsClient
  readonly #queues: Queues

  constructor(client: SqsClient, queues: Queues) {
    this.#client = client
    this.#queues = queues
  }

  count(topic: string, group: string): Promise<number> {
    return translated(`what was put aside for ${group} of ${topic} could not be counted`, () => this.#queues.countDeadLetters(topic, group))
  }

  async moveBack(topic: string, group: string, { perSecond }: { readonly perSecond?: number } = {}): Promise<void> {
    if (perSecond !== undefined && !(Number.isInteger(perSecond) && perSecond >= 1 && perSecond <= 500))
      throw new InvalidDefinitionError(`perSecond must be a whole number from 1 to 500, not ${perSecond}`)
    await translated(`what was put aside for ${group} of ${topic} is not moved back`, async () => {
      const { source, destination } = await this.#queues.arnsOf(topic, group)
      await this.#client.startMessageMoveTask({
        SourceArn: source,
        DestinationArn: destination,
        ...(perSecond !== undefined && { MaxNumberOfMessagesPerSecond: perSecond }),
      })
    })
  }

  async moves(topic: string, group: string): Promise<readonly SqsMove[]> {
    return (await this.#tasks(topic, group)).map((task) => ({
      state: stateOf(task),
      moved: task.ApproximateNumberOfMessagesMoved ?? 0,
      total: task.ApproximateNumberOfMessagesToMove ?? 0,
      startedMs: task.StartedTimestamp ?? 0,
      failure: task.FailureReason,
    }))
  }

  async cancelMove(topic: string, group: string): Promise<boolean> {
    const running = (await this.#tasks(topic, group)).find(({ Status }) => Status === 'RUNNING')
    if (!running) return false
    await translated(`the move of ${group} of ${topic} could not be stopped`, () =>
      this.#client.cancelMessageMoveTask({ TaskHandle: running.TaskHandle }),
    )
    return true
  }

  #tasks(topic: string, group: string): Promise<readonly ListMessageMoveTasksResultEntry[]> {
    return translated(`the moves of ${group} of ${topic} could not be listed`, async () => {
      const { source } = await this.#queues.arnsOf(topic, group)
      const { Results = [] } = await this.#client.listMessageMoveTasks({ SourceArn: source, MaxResults: 10 })
      return Results
    })
  }
}

function stateOf({ Status }: ListMessageMoveTasksResultEntry): SqsMove['state'] {
  switch (Status) {
    case 'COMPLETED':
      return 'completed'
    case 'CANCELLING':
      return 'cancelling'
    case 'CANCELLED':
      return 'cancelled'
    case 'FAILED':
      return 'failed'
    default:
      return 'running'
  }
}
