import { setImmediate as nextTurn } from 'node:timers/promises'
import { publishDelayable } from '../../src/transport/delays.ts'
import {
  MessageTooLargeError,
  TopicMismatchError,
  TransportClosedError,
  UnknownTopicError,
  UnsupportedByTransportError,
} from '../../src/transport/errors.ts'
import type {
  OutgoingMessage,
  PublishOutcome,
  StartAt,
  Transport,
  TransportCapabilities,
  TransportConnection,
} from '../../src/transport/port.ts'
import { PartitionedTopic } from './memory-partitions.ts'
import { QueueTopic } from './memory-queues.ts'
import type { MemoryTopic, ModelOptions } from './memory-topic.ts'

const maxMessageBytes = 256 * 1024

/** The port in the fewest words: a broker in plain collections, of each kind that there is, to try the conformance suite on. */
export class MemoryBroker implements Transport {
  readonly name = 'memory'
  readonly #options: ModelOptions
  readonly #topics = new Map<string, MemoryTopic>()

  constructor(options: Partial<ModelOptions> = {}) {
    this.#options = { ordering: 'queue', keepsHistory: false, deduplicates: false, priorities: false, maxDelayMs: 0, ...options }
  }

  forget(topic: string, partition: number, upTo: number): void {
    this.#topics.get(topic)?.forget(partition, upTo)
  }

  async connect(): Promise<TransportConnection> {
    await nextTurn()
    const { ordering, keepsHistory, deduplicates, priorities, maxDelayMs } = this.#options
    const starts: readonly StartAt['at'][] = keepsHistory || ordering === 'partition' ? ['beginning', 'end', 'time'] : ['end']
    const capabilities: TransportCapabilities = {
      name: this.name,
      ordering,
      startAt: starts,
      maxMessageBytes,
      deduplicates,
      priorities,
      maxDelayMs,
    }
    const leaves = new Set<() => Promise<void>>()
    const publishing = new Set<Promise<unknown>>()
    let isClosed = false

    const opened = async (): Promise<void> => {
      if (isClosed) throw new TransportClosedError(this.name)
      await nextTurn()
    }
    const topicOf = (name: string): MemoryTopic => {
      const topic = this.#topics.get(name)
      if (!topic) throw new UnknownTopicError(this.name, name)
      return topic
    }
    const checkStart = ({ at }: StartAt): void => {
      if (!starts.includes(at)) throw new UnsupportedByTransportError(`${this.name} cannot begin at ${at}`)
    }
    const publish = async (name: string, messages: readonly OutgoingMessage[]): Promise<readonly PublishOutcome[]> => {
      await opened()
      const topic = topicOf(name)
      return messages.map((message) => {
        const bytes = bytesOf(message)
        if (bytes > maxMessageBytes)
          return {
            ok: false,
            refused: true,
            error: new MessageTooLargeError(message.id, bytes, { bytes: maxMessageBytes, name: 'the limit' }),
          }
        const { delayMs = 0, ...kept } = message
        const append = (): void => topic.append({ ...kept, body: Buffer.from(kept.body) })
        if (delayMs === 0) append()
        else setTimeout(append, delayMs).unref()
        return { ok: true }
      })
    }
    return {
      capabilities,
      ensureTopic: async ({ name, partitions }) => {
        await opened()
        const topic = this.#topics.get(name)
        if (topic && ordering === 'partition' && partitions !== undefined && topic.partitions !== partitions)
          throw new TopicMismatchError(name, 'partitions', partitions, topic.partitions)
        if (topic) return
        const made =
          ordering === 'partition' ? new PartitionedTopic(name, partitions ?? 1, this.#options) : new QueueTopic(name, this.#options)
        this.#topics.set(name, made)
      },
      ensureGroup: async (topic, group, startAt) => {
        await opened()
        checkStart(startAt)
        topicOf(topic).ensureGroup(group, startAt)
      },
      publish: (topic, messages) => {
        const outcomes = publishDelayable(capabilities, messages, (some) => publish(topic, some))
        publishing.add(outcomes)
        void outcomes.catch(() => undefined).finally(() => publishing.delete(outcomes))
        return outcomes
      },
      subscribe: async (subscription) => {
        await opened()
        checkStart(subscription.startAt)
        const leave = topicOf(subscription.topic).join(subscription)
        leaves.add(leave)
        return { close: leave }
      },
      resetGroup: async (topic, group, startAt) => {
        await opened()
        if (!starts.includes('beginning')) throw new UnsupportedByTransportError(`${this.name} keeps no history`)
        return topicOf(topic).resetGroup(group, startAt)
      },
      lag: async (topic, group) => {
        await opened()
        return topicOf(topic).lag(group)
      },
      close: async () => {
        isClosed = true
        await Promise.allSettled(publishing)
        await Promise.all([...leaves].map((leave) => leave()))
      },
    }
  }
}

function bytesOf({ body, headers, attributes, key = '' }: OutgoingMessage): number {
  const texts = [...Object.entries(headers), ...Object.entries(attributes), [key]].flat()
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), body.length)
}
