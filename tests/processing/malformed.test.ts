import { describe, expect, test } from 'vitest'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import type { EventStore } from '../../src/storage/event-store.ts'
import type { OutgoingMessage } from '../../src/transport/port.ts'
import { describeOnBroker } from '../support/brokers.ts'
import { eventually } from '../support/eventually.ts'
import { freshFile, openPlace } from './killing.ts'
import { itemsOf, LimitedProcess, messageOf, topicFor } from './limited.ts'
import type { TransportPlace } from './transport-places.ts'

/** A million, when somebody has the time. */
const malformedCount = Number(process.env['HEADWATER_MALFORMED'] ?? 20_000)
const patienceMs = 120_000 + malformedCount
const heapMb = 128

/** Not JSON, of its own content each. */
const bodyOf = (n: number, bytes: number): string => `{"key": "k", "n": ${n} `.padEnd(bytes, 'x')

interface Plan {
  readonly malformed: number
  readonly good: number
  readonly bytes: number
  /** Of the process that consumes, which has 60 MB before it has begun. */
  readonly maxRssBytes: number
}
const small: Plan = { malformed: malformedCount, good: malformedCount / 10, bytes: 100, maxRssBytes: 260e6 }
/** As dead letters they would not fit into memory. What is there of them lies outside the heap for the most part, and is copied several times. */
const large: Plan = { malformed: 1_600, good: 160, bytes: 100_000, maxRssBytes: 400e6 }

async function handleAmong({ malformed, good, bytes, maxRssBytes }: Plan, place: TransportPlace): Promise<void> {
  const storePlace = await freshFile()
  const store = await openPlace(storePlace)
  const { topic, publish } = await topicFor(place)
  const consumer = new LimitedProcess(heapMb, storePlace, place, { where: topic.name })
  consumer.order({})
  const messages = function* (): Iterable<OutgoingMessage> {
    const each = malformed / good
    for (const item of itemsOf(0, good, 100)) {
      const message = messageOf(item, topic)
      for (let n = item.n * each; n < (item.n + 1) * each; n++) {
        const id = `bad-${n}`
        yield { ...message, id, attributes: { ...message.attributes, id }, body: Buffer.from(bodyOf(n, bytes)) }
      }
      yield message
    }
  }
  const some: OutgoingMessage[] = []
  for (const message of messages()) {
    some.push(message)
    if (some.length * bytes >= 1_000_000 || some.length === 2_000) await publish(some.splice(0))
  }
  await publish(some)
  await consumer.hasHandled(good, patienceMs)
  await eventually(async () => {
    const { kept, others } = await keptIn(store, malformed, bytes)
    expect({ kept, others }).toEqual({ kept: malformed, others: 0 })
  }, patienceMs)
  const { handled, peakRssBytes } = await consumer.hasHandled(good)
  expect(handled).toBe(good)
  expect(peakRssBytes).toBeLessThan(maxRssBytes)
}

/** How many of the malformed messages are dead letters, with the bytes that they had, and how many dead letters there are beside them. */
async function keptIn(store: EventStore, count: number, bytes: number): Promise<{ readonly kept: number; readonly others: number }> {
  const letters = new DeadLetters(store)
  const seen = new Uint8Array(count)
  let all = 0
  let after: string | undefined
  do {
    const page = await letters.list({}, { limit: bytes > 1_000 ? 50 : 1_000, ...(after !== undefined && { after }) })
    for (const { state, origin } of page.documents) {
      const raw = Buffer.from(origin?.raw ?? '', 'base64').toString()
      const n = Number(/"n": (\d+)/.exec(raw)?.[1])
      if (state === 'dead' && raw === bodyOf(n, bytes)) seen[n] = 1
      all++
    }
    after = page.next
  } while (after !== undefined)
  const kept = seen.reduce((sum, one) => sum + one, 0)
  return { kept, others: all - kept }
}

const timeout = 3 * patienceMs
const keptAndHandled = 'those are kept as they came, and the good ones among them are handled, in little memory'
describe('malformed messages over a log transport', () => {
  test(`of 100 kB each: ${keptAndHandled}`, { timeout }, async () => {
    await handleAmong(large, { kind: 'log', where: (await freshFile()).where })
  })
})
describeOnBroker('Kafka', 'malformed messages over Kafka', (where) => {
  test(`${malformedCount}: ${keptAndHandled}`, { timeout }, () => handleAmong(small, { kind: 'kafka', where }))
})
