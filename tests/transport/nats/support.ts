import { randomUUID } from 'node:crypto'
import type { JetStreamManager } from '@nats-io/jetstream'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { connect } from '@nats-io/transport-node'
import { onTestFinished } from 'vitest'
import { environment } from '../../../src/observability/environment.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { InMemoryMetrics } from '../../../src/observability/metrics.ts'
import type { NatsOptions } from '../../../src/transport/nats/index.ts'
import { nats } from '../../../src/transport/nats/index.ts'
import type { OutgoingMessage, ReceivedMessage, StartAt, TransportConnection } from '../../../src/transport/port.ts'
import { collect } from '../collect.ts'

export interface Connected {
  readonly connection: TransportConnection
  readonly metrics: InMemoryMetrics
  /** A raw client beside it. */
  readonly raw: NatsConnection
  readonly manager: JetStreamManager
  /** A topic's name that nobody else has; the topic is removed in the end. */
  newName(): string
}

/** The adapter and a raw client on one server, closed when the test ends. */
export async function connectBoth(servers: string, options: Partial<NatsOptions> = {}): Promise<Connected> {
  const metrics = new InMemoryMetrics()
  const connection = await nats({ servers, ackWaitMs: 1_000, ...options }).connect({
    environment: environment({ log: silentLog, metrics }),
    clientName: 'headwater-test',
  })
  const raw = await connect({ servers })
  const manager = await jetstreamManager(raw)
  const names: string[] = []
  onTestFinished(async () => {
    await connection.close()
    for (const name of names) await manager.streams.delete(name).catch(() => false)
    await raw.close()
  })
  const newName = (): string => {
    const name = `t-${randomUUID()}`
    names.push(name)
    return name
  }
  return { connection, metrics, raw, manager, newName }
}

/** Everything of a topic that a new group gets, as it comes. */
export function collectAll(
  { connection }: Connected,
  topic: string,
  { group = randomUUID(), startAt = { at: 'beginning' } }: { readonly group?: string; readonly startAt?: StartAt } = {},
): Promise<ReceivedMessage[]> {
  return collect(connection, { topic, group, startAt })
}

export function message(text: string, given: Partial<OutgoingMessage> = {}): OutgoingMessage {
  return { id: randomUUID(), key: undefined, attributes: {}, headers: {}, body: Buffer.from(text), ...given }
}
