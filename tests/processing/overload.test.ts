import { describe, expect, test } from 'vitest'
import { describeOnBroker } from '../support/brokers.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { Place } from './killing.ts'
import { freshDatabase, freshFile, openPlace } from './killing.ts'
import type { Item } from './limited.ts'
import { itemsOf, LimitedProcess, messageOf, topicFor } from './limited.ts'
import type { TransportPlace } from './transport-places.ts'

interface Load {
  readonly name: string
  readonly bytes: number
  readonly messages: number
  readonly perCall: number
  /** Messages of one processor that are in memory at the same time, at most: those of its lanes, and a page. */
  readonly maxAtHand: number
}

const small: Load = { name: 'messages of 500 bytes', bytes: 500, messages: 16_000, perCall: 1_000, maxAtHand: 3_000 }
const large: Load = { name: 'messages of 100 kB', bytes: 100_000, messages: 1_600, perCall: 20, maxAtHand: 2 * 168 }
/** Of what is large not everything would fit in. */
const heapMb = 128
/**
 * From when all is in memory that may be, to the most ever: for garbage, since what is fetched ahead lies outside the heap, and for handling at full speed in the
 * end. The messages that come meanwhile are 120 MB as bytes, and twice that as bytes and text.
 */
const maxGrowthBytes = 100e6

/** A process that handles one message for each ten that are published. */
async function overload(load: Load, publish: (items: readonly Item[]) => Promise<void>, ...places: readonly unknown[]): Promise<void> {
  const consumer = new LimitedProcess(heapMb, ...places)
  let published = 0
  const publishUntil = async (count: number): Promise<void> => {
    while (published < count) {
      const next = Math.min(published + load.perCall, count)
      await publish(itemsOf(published, next, load.bytes))
      published = next
      consumer.order({ allowed: Math.floor(published / 10) })
    }
  }
  const warm = load.messages / 4
  await publishUntil(warm)
  await consumer.hasHandled(warm / 10)
  const { peakRssBytes } = await consumer.isFull()
  await publishUntil(load.messages)
  await consumer.hasHandled(load.messages / 10)
  // And nothing was lost.
  consumer.order({})
  const figures = await consumer.hasHandled(load.messages)
  expect(figures.handled).toBe(load.messages)
  expect(figures.peakRssBytes - peakRssBytes).toBeLessThan(maxGrowthBytes)
  expect(figures.atHand).toBeLessThanOrEqual(load.maxAtHand)
}

function onTopic(where: () => TransportPlace | Promise<TransportPlace>): void {
  for (const load of [small, large])
    test(`ten times more than can be handled, ${load.name}: the memory stays where it was`, { timeout: 120_000 }, async () => {
      const place = await where()
      const { topic, publish } = await topicFor(place)
      await overload(load, (items) => publish(items.map((item) => messageOf(item, topic))), await freshFile(), place, { where: topic.name })
    })
}

function onLog(fresh: () => Promise<Place>): void {
  test(`ten times more than can be handled, ${large.name}: the memory stays where it was`, { timeout: 120_000 }, async () => {
    const place = await fresh()
    const store = await openPlace(place)
    const publish = async (items: readonly Item[]): Promise<void> => {
      await store.appendAll(items.map(({ key, text }) => ({ stream: `asked:${key}`, events: { type: 'Asked', data: { key, text } } })))
    }
    await overload(large, publish, place)
  })
}

describe('overload on a log of SQLite', () => onLog(freshFile))
describeOnPostgres('overload on a log of PostgreSQL', (url) => onLog(async () => freshDatabase(url)))
describe('overload over a log transport', () => onTopic(async () => ({ kind: 'log', where: (await freshFile()).where })))
describeOnBroker('Kafka', 'overload over Kafka', (where) => onTopic(() => ({ kind: 'kafka', where })))
describeOnBroker('RabbitMQ', 'overload over RabbitMQ', (where) => onTopic(() => ({ kind: 'rabbitmq', where })))
describeOnBroker('NATS JetStream', 'overload over NATS', (where) => onTopic(() => ({ kind: 'nats', where })))
