import type { TransportHarness } from '../../src/conformance/index.ts'
import type {
  OutgoingMessage,
  Partition,
  PublishOutcome,
  ReceivedMessage,
  SubscriptionOptions,
  Transport,
  TransportConnection,
} from '../../src/transport/port.ts'
import type { ModelOptions } from './memory-topic.ts'
import { MemoryBroker } from './memory-transport.ts'

/** An adapter with one defect, and the behaviours that must notice it. */
export interface Mutant {
  /** What it does wrong. */
  readonly defect: string
  /** The model that it is made of. */
  readonly of: Partial<ModelOptions>
  /** The group and name of each, which may be shortened at the end. */
  readonly caughtBy: readonly string[]
  /** Default: the model as it is, when the defect is the harness's. */
  readonly connection?: Breakage
  readonly harness?: (healthy: Transport, broken: Transport) => Partial<TransportHarness>
}

/** What is done instead, on each connection; `shared` is the same object for all of them. */
export type Breakage = (connection: TransportConnection, shared: Record<string, unknown>) => Partial<TransportConnection>

export function harnessOf({ of, connection: breakage = () => ({}), harness }: Mutant): TransportHarness {
  const broker = new MemoryBroker(of)
  const transport = broken(broker, breakage)
  return { transport, forget: async (topic, partition, upTo) => broker.forget(topic, partition, upTo), ...harness?.(broker, transport) }
}

export function broken(transport: Transport, breakage: Breakage): Transport {
  const shared: Record<string, unknown> = {}
  return {
    name: transport.name,
    async connect(options) {
      const connection = await transport.connect(options)
      return { ...connection, ...breakage(connection, shared) }
    },
  }
}

/** Each message as it is sent is made another one, or none. */
export function sending(change: (message: OutgoingMessage, index: number) => OutgoingMessage | undefined): Breakage {
  return (connection) => ({
    async publish(topic, messages) {
      const changed = messages.map(change)
      const outcomes = await connection.publish(
        topic,
        changed.filter((one) => one !== undefined),
      )
      let next = 0
      return changed.map((one): PublishOutcome => (one === undefined ? { ok: true } : outcomes[next++]!))
    },
  })
}

/** All messages of a call are made others; all are said to be confirmed. */
export function sendingAll(change: (messages: readonly OutgoingMessage[]) => readonly OutgoingMessage[]): Breakage {
  return (connection) => ({
    async publish(topic, messages) {
      await connection.publish(topic, change(messages))
      return messages.map(() => ({ ok: true }))
    },
  })
}

/** Each message as it is received is made another one. */
export function receiving(change: (message: ReceivedMessage) => ReceivedMessage): Breakage {
  return receivingBatches((batch) => batch.map(change))
}

export function receivingBatches(change: (batch: readonly ReceivedMessage[]) => readonly ReceivedMessage[]): Breakage {
  return consuming((partition) => ({
    async *read(after) {
      for await (const batch of partition.read(after)) yield change(batch)
    },
  }))
}

/** What is given to `run` does something else. */
export function consuming(
  change: (partition: Partition, shared: Record<string, unknown>, options: SubscriptionOptions) => Partial<Partition>,
): Breakage {
  return (connection, shared) => ({
    subscribe: (options) =>
      connection.subscribe({
        ...options,
        // The model's partitions are plain objects, of which a copy is as good.
        run: (partition) => options.run({ ...partition, ...change(partition, shared, options) }),
      }),
  })
}

/** Subscribes with something else than asked for. */
export function subscribing(change: (options: SubscriptionOptions) => Partial<SubscriptionOptions>): Breakage {
  return (connection) => ({ subscribe: (options) => connection.subscribe({ ...options, ...change(options) }) })
}
