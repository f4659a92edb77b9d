import { sqlite } from '../../src/storage/sqlite/index.ts'
import { kafka } from '../../src/transport/kafka/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { nats } from '../../src/transport/nats/index.ts'
import type { Transport } from '../../src/transport/port.ts'
import { rabbitmq } from '../../src/transport/rabbitmq/index.ts'
import { sqs } from '../../src/transport/sqs/index.ts'
import { near } from '../transport/sqs/support.ts'

/** A transport that several processes open, told to them as JSON. */
export interface TransportPlace {
  readonly kind: keyof typeof transports
  readonly where: string
}

/** So that what a killed process held comes to another one soon. */
const transports = {
  log: (where: string) => log(sqlite(where)),
  kafka: (where: string) => kafka({ brokers: where.split(','), sessionTimeoutMs: 2_000, heartbeatMs: 200 }),
  rabbitmq: (where: string) => rabbitmq({ url: where }),
  nats: (where: string) => nats({ servers: where, ackWaitMs: 1_000 }),
  sqs: (where: string) => sqs(near(where, { visibilityTimeoutSec: 2 })),
  'sqs-standard': (where: string) => sqs(near(where, { visibilityTimeoutSec: 4, fifo: false })),
}

export function openTransport({ kind, where }: TransportPlace): Transport {
  return transports[kind](where)
}
