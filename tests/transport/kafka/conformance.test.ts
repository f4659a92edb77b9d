import { Admin } from '@platformatic/kafka'
import { afterAll, beforeAll, test } from 'vitest'
import type { TransportHarness } from '../../../src/conformance/transport/behaviour.ts'
import { transportConformance } from '../../../src/conformance/transport/suite.ts'
import type { Transport } from '../../../src/transport/port.ts'
import { kafka } from '../../../src/transport/kafka/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import type { OwnBroker } from './broker.ts'
import { startBroker, startTimeoutMs } from './broker.ts'

/** A dead member is noticed soon, so that behaviours of members need not wait for long. */
const patience = { sessionTimeoutMs: 3_000, heartbeatMs: 200 }

// On a broker of its own, since a broker tells its clients by which address to come: a line that can be interrupted needs a listener that names it.
describeOnBroker('Kafka', 'the transport for Kafka', () => {
  let broker: OwnBroker | undefined
  beforeAll(async () => {
    broker = await startBroker({ lines: 12 })
  }, startTimeoutMs)
  afterAll(() => broker?.remove())

  const own = (): OwnBroker => {
    if (!broker) throw new Error('the broker has not been started')
    return broker
  }
  let lines = 0
  const transport: Transport = {
    name: 'kafka',
    connect: (options) => kafka({ brokers: own().address, ...patience }).connect(options),
  }
  const harness: TransportHarness = {
    transport,
    unreachable: kafka({ brokers: '127.0.0.1:1' }),
    async interruptible() {
      const line = own().lines[lines++]
      if (!line) throw new Error('not enough lines: give startBroker more')
      const { address, proxy } = line
      return {
        transport: kafka({ brokers: address, ...patience }),
        cut: () => proxy.cut(),
        refuse: () => proxy.refuse(),
        accept: () => proxy.accept(),
        close: async () => proxy.cut(),
      }
    },
    forget: (topic, partition, upTo) =>
      asAdmin(own().address, (admin) =>
        admin.deleteRecords({ topics: [{ name: topic, partitions: [{ partition, offset: BigInt(upTo + 1) }] }] }),
      ),
    // The name is a topic's or a group's.
    dispose: (name) =>
      asAdmin(own().address, (admin) =>
        Promise.allSettled([admin.deleteTopics({ topics: [name] }), admin.deleteGroups({ groups: [name] })]),
      ),
  }
  for (const { group, name, run } of transportConformance(harness))
    test.concurrent(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await run()
      if (outcome) skip(outcome.skipped)
    })
})

async function asAdmin(brokers: string, work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = new Admin({ clientId: 'conformance', bootstrapBrokers: [brokers], retries: 0 })
  try {
    await work(admin)
  } finally {
    await admin.close()
  }
}
