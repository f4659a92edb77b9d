import type { Admin } from '@platformatic/kafka'
import { TransportUnavailableError, UnknownTopicError, UnsupportedBrokerError, UnsupportedByTransportError } from '../../errors.ts'
import type { StartAt, TopicSpec } from '../../port.ts'
import { isKafkaError, isUnknownTopic } from './errors.ts'
import type { Library } from './library.ts'

/** What is asked of the brokers least: as of Kafka 2.4, which is also what the oldest hosted clusters speak. */
const leastVersions = { Produce: 7, Fetch: 11, OffsetCommit: 8, Heartbeat: 4, InitProducerId: 2, DescribeConfigs: 1 } as const

/** As ListOffsets names them. */
export const latest = -1
export const earliest = -2

/** Errors by which the broker says that what was asked for cannot be. */
const unacceptable = ['INVALID_TOPIC_EXCEPTION', 'INVALID_PARTITIONS', 'INVALID_REPLICATION_FACTOR', 'INVALID_CONFIG', 'POLICY_VIOLATION']

/** Of a broker that does not tell. */
const defaultMaxMessageBytes = 1_048_588

/** What is asked about the cluster as a whole: topics, offsets, settings. */
export class Cluster {
  readonly #library: Library
  readonly #admin: Admin

  constructor(library: Library) {
    this.#library = library
    this.#admin = new library.kafka.Admin({ ...library.clientOptions(), retries: 5 })
    library.observe(this.#admin)
  }

  /** @throws TransportUnavailableError, UnsupportedBrokerError */
  async check(): Promise<void> {
    const { kafka, settings } = this.#library
    // Whoever starts a service wants to know soon that an address or a password is wrong.
    const probe = new kafka.Admin({ ...this.#library.clientOptions(), retries: 1 })
    try {
      refuseOldBroker(await probe.listApis())
    } catch (error) {
      if (error instanceof UnsupportedBrokerError) throw error
      throw new TransportUnavailableError(`no Kafka broker answers at ${settings.brokers.join(', ')}`, { cause: error })
    } finally {
      await probe.close()
    }
  }

  /** Of one message, for topics that do not say otherwise. */
  async maxMessageBytes(): Promise<number> {
    const { brokers } = await this.#admin.metadata({ topics: [] })
    const [broker] = brokers.keys()
    const configs = await this.#settings(this.#library.kafka.ConfigResourceTypes.BROKER, String(broker)).catch(
      () => new Map<string, string>(),
    )
    return Number(configs.get('message.max.bytes') ?? defaultMaxMessageBytes)
  }

  /** Of one message to this topic. @throws UnknownTopicError */
  async maxMessageBytesOf(topic: string): Promise<number> {
    try {
      return Number((await this.topicSettings(topic)).get('max.message.bytes') ?? defaultMaxMessageBytes)
    } catch (error) {
      // To send to a topic and to read its settings are two permissions.
      if (isKafkaError(error, 'TOPIC_AUTHORIZATION_FAILED')) return this.maxMessageBytes()
      throw error
    }
  }

  /** By name. @throws UnknownTopicError */
  async topicSettings(topic: string): Promise<ReadonlyMap<string, string>> {
    return this.#ofTopic(topic, () => this.#settings(this.#library.kafka.ConfigResourceTypes.TOPIC, topic))
  }

  /** How many partitions the topic has. @throws UnknownTopicError */
  async partitions(topic: string): Promise<number> {
    return this.#ofTopic(topic, async () => {
      const { topics } = await this.#admin.metadata({ topics: [topic], forceUpdate: true, retries: 2 })
      const known = topics.get(topic)
      if (!known) throw new UnknownTopicError('kafka', topic)
      return known.partitionsCount
    })
  }

  /** False when it was there before. */
  async createTopic({ name, partitions, retentionMs, settings }: TopicSpec): Promise<boolean> {
    const configs = Object.entries({ ...(retentionMs !== undefined && { 'retention.ms': String(retentionMs) }), ...settings })
    try {
      await this.#admin.createTopics({
        topics: [name],
        ...(partitions !== undefined && { partitions }),
        configs: configs.map(([key, value]) => ({ name: key, value })),
      })
      return true
    } catch (error) {
      if (isKafkaError(error, 'TOPIC_ALREADY_EXISTS')) return false
      if (isKafkaError(error, ...unacceptable))
        throw new UnsupportedByTransportError(`Kafka will not make the topic ${name}`, { cause: error })
      throw new TransportUnavailableError(`Kafka did not make the topic ${name}`, { cause: error })
    }
  }

  /** The first offset of each partition at or after a time, in milliseconds since 1970; or `earliest`, or `latest`. -1 where there is none. */
  async offsets(topic: string, partitions: readonly number[], at: number): Promise<ReadonlyMap<number, number>> {
    const requests = partitions.map((partitionIndex) => ({ partitionIndex, timestamp: BigInt(at) }))
    const answer = await this.#ofTopic(topic, () => this.#admin.listOffsets({ topics: [{ name: topic, partitions: requests }] }))
    return new Map(
      answer.flatMap((of) => of.partitions.map(({ partitionIndex, offset }): [number, number] => [partitionIndex, Number(offset)])),
    )
  }

  /** The offsets at which the group goes on, by partition; none where it has committed none. */
  async committed(group: string, topic: string): Promise<ReadonlyMap<number, number>> {
    const answer = await this.#ofTopic(topic, () => this.#admin.listConsumerGroupOffsets({ groups: [group] }))
    const ofTopic = answer.flatMap((of) => of.topics).filter((of) => of.name === topic)
    const offsets = ofTopic.flatMap((of) =>
      of.partitions.map(({ partitionIndex, committedOffset }): [number, number] => [partitionIndex, Number(committedOffset)]),
    )
    return new Map(offsets.filter(([, offset]) => offset >= 0))
  }

  /**
   * The offset at which the group goes on with a partition; undefined where it has committed none. While a transaction that would change it is being ended
   * there is no answer.
   */
  async stableOffset(group: string, topic: string, partition: number): Promise<number | undefined> {
    const wanted = { groupId: group, topics: [{ name: topic, partitionIndexes: [partition] }] }
    const answer = await this.#ofTopic(topic, () => this.#admin.listConsumerGroupOffsets({ groups: [wanted], requireStable: true }))
    const offset = Number(answer[0]?.topics[0]?.partitions[0]?.committedOffset ?? -1)
    return offset >= 0 ? offset : undefined
  }

  /** The offset of the first message for a group that is new. */
  async firstOffset(topic: string, partition: number, startAt: StartAt): Promise<number> {
    const at = startAt.at === 'beginning' ? earliest : startAt.at === 'end' ? latest : startAt.timeMs
    const offsetAt = async (wanted: number): Promise<number> => (await this.offsets(topic, [partition], wanted)).get(partition) ?? -1
    const found = await offsetAt(at)
    // Nothing is as late as that.
    return found >= 0 ? found : offsetAt(latest)
  }

  async close(): Promise<void> {
    await this.#admin.close()
  }

  async #settings(resourceType: 2 | 4, resourceName: string): Promise<Map<string, string>> {
    const [resource] = await this.#admin.describeConfigs({ resources: [{ resourceType, resourceName }] })
    return new Map(resource?.configs.map(({ name, value }) => [name, value ?? '']))
  }

  async #ofTopic<T>(topic: string, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask()
    } catch (error) {
      if (error instanceof UnknownTopicError) throw error
      if (isUnknownTopic(error)) throw new UnknownTopicError('kafka', topic)
      throw new TransportUnavailableError(`Kafka does not answer what it is asked about the topic ${topic}`, { cause: error })
    }
  }
}

/** @throws UnsupportedBrokerError */
export function refuseOldBroker(apis: readonly { readonly name: string; readonly maxVersion: number }[]): void {
  for (const [name, least] of Object.entries(leastVersions)) {
    const most = apis.find((api) => api.name === name)?.maxVersion ?? -1
    if (most < least)
      throw new UnsupportedBrokerError(`Kafka 2.4 or later is needed: the broker knows ${name} up to version ${most}, not ${least}`)
  }
}
