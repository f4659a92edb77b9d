import type { QueueAttributeName } from '@aws-sdk/client-sqs'
import type { Environment } from '../../observability/environment.ts'
import { TopicMismatchError, UnknownTopicError, UnsupportedByTransportError } from '../errors.ts'
import type { StartAt, TopicSpec } from '../port.ts'
import type { SqsClient } from './client.ts'
import { isRefusal } from './failure.ts'
import { QueueNames } from './queue-name.ts'
import type { RedrivePolicy } from './redrive.ts'
import { deadLettersKeptSec, hasPolicy } from './redrive.ts'
import type { Retry } from './retry.ts'
import type { SqsSettings } from './settings.ts'

type QueueAttributes = Readonly<Partial<Record<QueueAttributeName, string>>>

/** What the queue of a topic hands on to those of its groups. A `Policy` is not among it: it names the one queue that it is for. */
const inherited: readonly QueueAttributeName[] = [
  'ContentBasedDeduplication',
  'DeduplicationScope',
  'DelaySeconds',
  'FifoThroughputLimit',
  'KmsDataKeyReusePeriodSeconds',
  'KmsMasterKeyId',
  'MaximumMessageSize',
  'MessageRetentionPeriod',
  'ReceiveMessageWaitTimeSeconds',
  'RedriveAllowPolicy',
  'RedrivePolicy',
  'SqsManagedSseEnabled',
  'VisibilityTimeout',
]

const encryption: readonly QueueAttributeName[] = ['KmsDataKeyReusePeriodSeconds', 'KmsMasterKeyId', 'SqsManagedSseEnabled']

/** The queues that topics and groups are made of. */
export class Queues {
  readonly #client: SqsClient
  readonly #settings: SqsSettings
  readonly #names: QueueNames
  readonly #clock: Environment['clock']
  readonly #retry: Retry

  constructor(client: SqsClient, settings: SqsSettings, { clock }: Environment, retry: Retry) {
    this.#client = client
    this.#settings = settings
    this.#names = new QueueNames(settings)
    this.#clock = clock
    this.#retry = retry
  }

  async ensureTopic({ name, retentionMs, settings = {} }: TopicSpec): Promise<void> {
    const wanted: Record<string, string> = {
      ...(retentionMs !== undefined && { MessageRetentionPeriod: String(Math.round(retentionMs / 1_000)) }),
      ...settings,
    }
    const queue = this.#names.topic(name)
    const url = await this.#find(queue)
    if (url === undefined) await this.#create(queue, wanted)
    else await this.#check(name, url, wanted)
  }

  async #check(topic: string, url: string, wanted: Readonly<Record<string, string>>): Promise<void> {
    if (Object.keys(wanted).length === 0) return
    const actual: Readonly<Record<string, string>> = await this.#attributesOf(url)
    for (const [setting, value] of Object.entries(wanted)) {
      const found = actual[setting]
      if (normalize(found) !== normalize(value)) throw new TopicMismatchError(topic, setting, value, found)
    }
  }

  /** The address of the group's queue, which is made when it is missing. */
  async ensureGroup(topic: string, group: string, startAt: StartAt): Promise<string> {
    if (startAt.at !== 'end')
      throw new UnsupportedByTransportError(`SQS keeps no history: a group of ${topic} can only begin at the end, not at ${startAt.at}`)
    const topicUrl = await this.#find(this.#names.topic(topic))
    if (topicUrl === undefined) throw new UnknownTopicError('sqs', topic)
    const queue = this.#names.group(topic, group)
    const found = await this.#find(queue)
    const redrive = await this.#ensureDeadLetters(topic, group, topicUrl)
    if (found !== undefined) {
      if (redrive) await this.#ensureRedrive(topic, group, found, redrive)
      return found
    }
    const template = await this.#attributesOf(topicUrl)
    const url = await this.#create(queue, { ...pick(template, inherited), ...(redrive && { RedrivePolicy: JSON.stringify(redrive) }) })
    // Publishers that have just looked do not know the queue yet. When they look again they will.
    await this.#clock.sleep(this.#settings.queueCacheMs)
    return url
  }

  /** Undefined when SQS is to put nothing aside. */
  async #ensureDeadLetters(topic: string, group: string, topicUrl: string): Promise<RedrivePolicy | undefined> {
    const { maxReceiveCount } = this.#settings
    if (maxReceiveCount === undefined) return undefined
    const queue = this.#names.deadLetters(topic, group)
    const found = await this.#find(queue)
    const make = async (): Promise<string> => {
      const attributes = { ...pick(await this.#attributesOf(topicUrl), encryption), MessageRetentionPeriod: String(deadLettersKeptSec) }
      return this.#create(queue, attributes)
    }
    return { deadLetterTargetArn: await this.#arnOf(found ?? (await make())), maxReceiveCount }
  }

  async #ensureRedrive(topic: string, group: string, QueueUrl: string, redrive: RedrivePolicy): Promise<void> {
    const { RedrivePolicy: actual } = await this.#attributesOf(QueueUrl)
    if (hasPolicy(topic, group, actual, redrive)) return
    await this.#retry(() => this.#client.setQueueAttributes({ QueueUrl, Attributes: { RedrivePolicy: JSON.stringify(redrive) } }))
  }

  /** What SQS calls the queue of a group, and the one for what it puts aside. @throws UnknownTopicError */
  async arnsOf(topic: string, group: string): Promise<{ readonly source: string; readonly destination: string }> {
    const source = existing(await this.#find(this.#names.deadLetters(topic, group)), topic, `${group} whose messages are put aside`)
    const destination = existing(await this.#find(this.#names.group(topic, group)), topic, group)
    return { source: await this.#arnOf(source), destination: await this.#arnOf(destination) }
  }

  /**
   * The queues of a topic's groups: nobody else knows of which groups there are. Amazon's list may be behind by a minute: that a queue is missing in it does not
   * mean that it is gone, see `isThere`.
   */
  async ofTopic(topic: string): Promise<readonly string[]> {
    const QueueNamePrefix = this.#names.groupsStart(topic)
    const urls: string[] = []
    for (let NextToken: string | undefined, isFirst = true; isFirst || NextToken; isFirst = false) {
      const input = { QueueNamePrefix, MaxResults: 1_000, ...(NextToken && { NextToken }) }
      const page = await this.#retry(() => this.#client.listQueues(input))
      urls.push(...(page.QueueUrls ?? []).filter((url) => this.#names.isOfGroup(topic, url)))
      NextToken = page.NextToken
    }
    if (urls.length === 0 && (await this.#find(this.#names.topic(topic))) === undefined) throw new UnknownTopicError('sqs', topic)
    return urls
  }

  async isThere(url: string): Promise<boolean> {
    return (await this.#find(url.slice(url.lastIndexOf('/') + 1))) !== undefined
  }

  /** Approximate, as SQS says itself. */
  async countMessages(topic: string, group: string): Promise<number> {
    return this.#count(existing(await this.#find(this.#names.group(topic, group)), topic, group))
  }

  /** The same of what SQS has put aside. */
  async countDeadLetters(topic: string, group: string): Promise<number> {
    return this.#count(existing(await this.#find(this.#names.deadLetters(topic, group)), topic, `${group} whose messages are put aside`))
  }

  async #count(url: string): Promise<number> {
    const attributes = await this.#attributesOf(url)
    return (['', 'NotVisible', 'Delayed'] as const)
      .map((kind) => Number(attributes[`ApproximateNumberOfMessages${kind}`] ?? 0))
      .reduce((sum, count) => sum + count, 0)
  }

  async #attributesOf(QueueUrl: string): Promise<QueueAttributes> {
    const { Attributes } = await this.#retry(() => this.#client.getQueueAttributes({ QueueUrl, AttributeNames: ['All'] }))
    return Attributes ?? {}
  }

  async #arnOf(url: string): Promise<string> {
    const { QueueArn } = await this.#attributesOf(url)
    if (QueueArn === undefined) throw new Error(`SQS does not say what it calls the queue ${url}`)
    return QueueArn
  }

  async #create(QueueName: string, attributes: Readonly<Record<string, string>>): Promise<string> {
    const Attributes = this.#settings.fifo ? { FifoQueue: 'true', ...attributes } : { ...attributes }
    try {
      const { QueueUrl } = await this.#retry(() => this.#client.createQueue({ QueueName, Attributes }))
      if (QueueUrl) return QueueUrl
      throw new Error(`SQS made the queue ${QueueName} without saying where`)
    } catch (error) {
      // Somebody may have made it at the same time, with other attributes.
      const url = isRefusal(error) ? await this.#find(QueueName) : undefined
      if (url === undefined) throw error
      return url
    }
  }

  /** Who may not see a queue is refused in the same way as who asks for one that does not exist; the list tells the two apart. */
  async #find(QueueName: string): Promise<string | undefined> {
    try {
      return (await this.#retry(() => this.#client.getQueueUrl({ QueueName }))).QueueUrl
    } catch (error) {
      if (!isRefusal(error)) throw error
    }
    const { QueueUrls = [] } = await this.#retry(() => this.#client.listQueues({ QueueNamePrefix: QueueName }))
    return QueueUrls.find((url) => url.endsWith(`/${QueueName}`))
  }
}

function pick(attributes: QueueAttributes, names: readonly QueueAttributeName[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (attributes[name] ? [[name, attributes[name]]] : [])))
}

/** @throws UnknownTopicError */
function existing(url: string | undefined, topic: string, group: string): string {
  if (url === undefined) throw new UnknownTopicError('sqs', `${topic} with the group ${group}`)
  return url
}

/** Settings that are JSON, such as a redrive policy, may come back with other spaces. */
function normalize(value: string | undefined): string | undefined {
  if (!value?.startsWith('{')) return value
  try {
    return JSON.stringify(JSON.parse(value))
  } catch {
    return value
  }
}
