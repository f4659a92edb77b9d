import { jetstreamManager } from '@nats-io/jetstream'
import { connect } from '@nats-io/transport-node'
import { test } from 'vitest'
import type { InterruptibleTransport, TransportHarness } from '../../../src/conformance/transport/behaviour.ts'
import { transportConformance } from '../../../src/conformance/transport/suite.ts'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { nats } from '../../../src/transport/nats/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `the adapter for ${broker}`, (address) => {
    for (const { group, name, run } of transportConformance(harness(address)))
      test.concurrent(`${group}: ${name}`, async ({ skip }) => {
        const outcome = await run()
        if (outcome) skip(outcome.skipped)
      })
  })

function harness(address: string): TransportHarness {
  const quick = { ackWaitMs: 2_000, publishTimeoutMs: 10_000 }
  return {
    transport: nats({ servers: address, ...quick }),
    unreachable: nats({ servers: '127.0.0.1:1', ...quick }),
    async interruptible(): Promise<InterruptibleTransport> {
      const [host = '127.0.0.1', port] = address.split(':')
      const proxy = await startTcpProxy({ host, port: Number(port) })
      return {
        transport: nats({ servers: `127.0.0.1:${proxy.port}`, ...quick }),
        cut: () => proxy.cut(),
        refuse: () => proxy.refuse(),
        accept: () => proxy.accept(),
        close: () => proxy.close(),
      }
    },
    async dispose(topic) {
      const connection = await connect({ servers: address })
      await (await jetstreamManager(connection)).streams.delete(topic).catch(() => false)
      await connection.close()
    },
  }
}
