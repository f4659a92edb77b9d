import { test } from 'vitest'
import { transportConformance } from '../../../src/conformance/index.ts'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { rabbitmq } from '../../../src/transport/rabbitmq/index.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { recorded, removeTopic } from './recorded.ts'

for (const priorities of [false, true])
  describeOnBroker('RabbitMQ', `the adapter for RabbitMQ, with ${priorities ? 'priorities' : 'quorum queues'}`, (url) => {
    const harness = {
      transport: recorded(rabbitmq({ url, priorities })),
      unreachable: rabbitmq({ url: 'amqp://127.0.0.1:1' }),
      async interruptible() {
        const { hostname: host, port } = new URL(url)
        const proxy = await startTcpProxy({ host, port: Number(port) })
        const address = Object.assign(new URL(url), { port: proxy.port })
        const { cut, refuse, accept, close } = proxy
        return { transport: recorded(rabbitmq({ url: address.href, priorities })), cut, refuse, accept, close }
      },
      dispose: (topic: string) => removeTopic(url, topic),
    }

    for (const { group, name, run } of transportConformance(harness))
      test.concurrent(`${group}: ${name}`, async ({ skip }) => {
        const outcome = await run()
        if (outcome) skip(outcome.skipped)
      })
  })
