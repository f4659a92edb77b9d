import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { startTcpProxy } from '../../../src/testing/tcp-proxy.ts'
import { describeOnBroker } from '../../support/brokers.ts'
import { eventually } from '../../support/eventually.ts'
import { Ledger, numbered, publishRounds } from '../../support/ledger.ts'
import type { Connected } from './support.ts'
import { connectBoth } from './support.ts'

// What is in the stream itself, without anything that a consumer could leave out or put in order.

for (const broker of ['NATS JetStream', 'NATS JetStream 2.9'] as const)
  describeOnBroker(broker, `messages that a lost connection left unconfirmed, on ${broker}`, (address) => {
    const [host = '127.0.0.1', port] = address.split(':')
    const server = { host, port: Number(port) }

    test('are stored once, and before what follows them of their key, however often it is cut', async () => {
      await using proxy = await startTcpProxy(server)
      const direct = await connectBoth(address)
      const through = await connectBoth(`127.0.0.1:${proxy.port}`)
      const topic = direct.newName()
      await direct.connection.ensureTopic({ name: topic })
      const ledger = new Ledger()
      const enough = new AbortController()
      const publishing = publishRounds(through.connection, topic, ledger, { keys: 20, signal: enough.signal })
      for (let cuts = 1; cuts <= 25; cuts++) {
        const { confirmedCount } = ledger
        await eventually(() => expect(ledger.confirmedCount).toBeGreaterThan(confirmedCount + 60))
        proxy.cut()
        await eventually(() =>
          expect(through.metrics.value('headwater_transport_disconnects_total', { transport: 'nats' })).toBeGreaterThanOrEqual(cuts),
        )
      }
      enough.abort()
      await publishing
      const stored = await storedIn(direct, topic)
      expect(Object.keys(stored).length).toBe(20)
      const numbers = Array.from({ length: ledger.confirmedCount / 20 }, (_, number) => String(number))
      for (const [key, texts] of Object.entries(stored)) expect(texts, key).toEqual(numbers)
    })

    test('are dropped when they arrive after what follows them, within the time for which the server remembers ids', async () => {
      const { late, direct, topic } = await arriveLate(0)
      await late()
      // Whatever was sent before it over the same connection has been stored by then.
      expect(await storedIn(direct, topic)).toEqual({ k: ['0', '1'], after: ['0'] })
    })

    // No header of expectation would help: see publisher.ts. Consumers recognise it by its id, for as long as the inbox remembers.
    test('come once more when they arrive later than that', async () => {
      const { late, direct, topic } = await arriveLate(5_000)
      await late()
      expect(await storedIn(direct, topic)).toEqual({ k: ['0', '1', '0'], after: ['0'] })
    })

    /** A message gets stuck on the way, is given up, and published again by somebody else, with the next one of its key. */
    async function arriveLate(
      afterMs: number,
    ): Promise<{ readonly direct: Connected; readonly topic: string; readonly late: () => Promise<void> }> {
      const proxy = await startTcpProxy(server)
      const duplicateWindowMs = afterMs === 0 ? 60_000 : 4_000
      const direct = await connectBoth(address, { publishTimeoutMs: 3_000, duplicateWindowMs })
      const through = await connectBoth(`127.0.0.1:${proxy.port}`, { publishTimeoutMs: 400, duplicateWindowMs })
      const topic = direct.newName()
      await direct.connection.ensureTopic({ name: topic })
      proxy.blackhole()
      const [first, second] = [numbered('k', 0), numbered('k', 1)]
      expect(await through.connection.publish(topic, [first])).toMatchObject([{ ok: false, refused: false }])
      expect(await direct.connection.publish(topic, [first, second])).toEqual([{ ok: true }, { ok: true }])
      await delay(afterMs)
      return {
        direct,
        topic,
        async late() {
          proxy.accept()
          await eventually(async () => expect(await through.connection.publish(topic, [numbered('after', 0)])).toEqual([{ ok: true }]))
          await through.connection.close()
          await proxy.close()
        },
      }
    }
  })

/** What is stored of each key, in its order. */
async function storedIn({ connection }: Connected, topic: string): Promise<Readonly<Record<string, readonly string[]>>> {
  const stored: Record<string, string[]> = {}
  let count = 0
  const group = randomUUID()
  const [lag] = await connection.lag(topic, group)
  const subscription = await connection.subscribe({
    topic,
    group,
    startAt: { at: 'beginning' },
    maxMessages: 1_000,
    maxBytes: 1024 * 1024,
    releaseTimeoutMs: 500,
    async run(partition) {
      for await (const batch of partition.read()) {
        for (const { key, body } of batch) (stored[key!] ??= []).push(Buffer.from(body).toString())
        count += batch.length
        await partition.acknowledge(batch)
      }
    },
  })
  await eventually(() => expect(count).toBe(lag!.messages))
  await subscription.close()
  return stored
}
