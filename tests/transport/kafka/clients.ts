import { randomUUID } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import type { Metrics } from '../../../src/observability/metrics.ts'
import type { KafkaOptions } from '../../../src/transport/kafka/index.ts'
import { kafka } from '../../../src/transport/kafka/index.ts'
import type { OutgoingMessage, SubscriptionOptions, TransportConnection } from '../../../src/transport/port.ts'

/** A connection that is closed when the test ends. */
export async function connectTo(brokers: string, options: Partial<KafkaOptions> = {}, metrics?: Metrics): Promise<TransportConnection> {
  const transport = kafka({ brokers, sessionTimeoutMs: 3_000, heartbeatMs: 200, ...options })
  const connection = await transport.connect({
    environment: environment({ log: silentLog, ...(metrics && { metrics }) }),
    clientName: 'test',
  })
  onTestFinished(() => connection.close())
  return connection
}

export async function newTopic(connection: TransportConnection, partitions: number): Promise<string> {
  const name = `test-${randomUUID()}`
  await connection.ensureTopic({ name, partitions })
  return name
}

export function keyed(key: string, text: string): OutgoingMessage {
  return { id: randomUUID(), key, attributes: {}, headers: {}, body: Buffer.from(text) }
}

/** Numbers of one key in the order in which they are to be read. */
export function numbered(keys: number, from: number, to: number): OutgoingMessage[] {
  const messages: OutgoingMessage[] = []
  for (let number = from; number < to; number++) for (let key = 0; key < keys; key++) messages.push(keyed(`k${key}`, `k${key} ${number}`))
  return messages
}

export function subscriptionTo(
  topic: string,
  group: string,
  run: SubscriptionOptions['run'],
  more: Partial<SubscriptionOptions> = {},
): SubscriptionOptions {
  return { topic, group, startAt: { at: 'beginning' }, maxMessages: 500, maxBytes: 1024 * 1024, releaseTimeoutMs: 5_000, run, ...more }
}

export const textOf = ({ body }: { readonly body: Uint8Array }): string => Buffer.from(body).toString()
