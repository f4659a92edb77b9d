import { DeleteQueueCommand, ListQueuesCommand } from '@aws-sdk/client-sqs'
import { afterAll, describe, test, vi } from 'vitest'
import type { TransportHarness } from '../../../src/conformance/index.ts'
import { transportConformance } from '../../../src/conformance/index.ts'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import type { SqsOptions } from '../../../src/transport/sqs/index.ts'
import { sqs } from '../../../src/transport/sqs/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { near, rawClient } from './support.ts'

// Most of the time of each behaviour is spent in waiting for requests to end that wait for messages.
vi.setConfig({ maxConcurrency: 8 })

for (const kind of ['FIFO', 'standard'] as const)
  describeOnBroker('ElasticMQ', `the transport for Amazon SQS, ${kind} queues, on ElasticMQ`, (endpoint) => {
    conform(endpoint, { fifo: kind === 'FIFO' })
  })

function conform(endpoint: string, options: SqsOptions): void {
  const client = rawClient(endpoint)
  afterAll(() => client.destroy())

  // One message of a key a request: hundreds of them take a while where the service has little of a machine.
  const patient = { ...options, publishTimeoutMs: 120_000 }
  const harness: TransportHarness = {
    transport: sqs(near(endpoint, patient)),
    unreachable: sqs(near('http://127.0.0.1:1', options)),
    async interruptible() {
      const { hostname, port } = new URL(endpoint)
      const proxy = await startTcpProxy({ host: hostname, port: Number(port) })
      return {
        transport: sqs(near(`http://127.0.0.1:${proxy.port}`, patient)),
        cut: () => proxy.cut(),
        refuse: () => proxy.refuse(),
        accept: () => proxy.accept(),
        close: () => proxy.close(),
      }
    },
    async dispose(topic) {
      const { QueueUrls = [] } = await client.send(new ListQueuesCommand({ QueueNamePrefix: topic }))
      for (const QueueUrl of QueueUrls) await client.send(new DeleteQueueCommand({ QueueUrl }))
    },
  }
  describe.concurrent('conformance', () => {
    for (const { group, name, run } of transportConformance(harness))
      test(`${group}: ${name}`, async ({ skip }) => {
        const outcome = await run()
        if (outcome) skip(outcome.skipped)
      })
  })
}
