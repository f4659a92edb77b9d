import assert from 'node:assert/strict'
import { test } from 'vitest'
import type { FetchResult } from '../../../src/transport/kafka/client/fetcher.ts'
import { PartitionReader } from '../../../src/transport/kafka/partition-reader.ts'

const result = (from: number, count: number, bodyBytes = 100): FetchResult => ({
  partition: 0,
  from,
  nextOffset: from + count,
  bytes: count * bodyBytes,
  wireBytes: count * bodyBytes,
  outOfRange: false,
  failed: undefined,
  messages: Array.from({ length: count }, (_, index) => ({
    id: undefined,
    key: undefined,
    attributes: {},
    headers: {},
    body: Buffer.alloc(bodyBytes),
    topic: 't',
    partition: 0,
    offset: from + index,
    timeMs: 0,
  })),
})

async function readAll(reader: PartitionReader, count: number): Promise<readonly (readonly number[])[]> {
  const batches: number[][] = []
  for await (const batch of reader.batches()) {
    batches.push(batch.map(({ offset }) => offset ?? -1))
    if (batches.flat().length >= count) break
  }
  return batches
}

test('what two brokers answered for the same offset is taken once', async () => {
  const reader = new PartitionReader(0, 5, { maxMessages: 100, maxBytes: 100_000 }, () => {})
  reader.add(result(5, 3))
  reader.add(result(5, 3))
  reader.add(result(8, 2))
  assert.deepEqual(await readAll(reader, 5), [
    [5, 6, 7],
    [8, 9],
  ])
})

test('it asks for more when half of what it may hold is read, and for no more than is likely to fit', async () => {
  let wanted = 0
  const reader = new PartitionReader(0, 0, { maxMessages: 1_000, maxBytes: 1_000_000 }, () => wanted++)
  assert.deepEqual(reader.request(), { partition: 0, offset: 0, maxBytes: 1_000 * 256 })
  reader.add(result(0, 400))
  assert.deepEqual(reader.request(), { partition: 0, offset: 400, maxBytes: 600 * 100 })
  reader.add(result(400, 300))
  assert.equal(reader.request(), undefined)
  await readAll(reader, 400)
  assert.ok(wanted > 0)
  assert.equal(reader.request()?.offset, 700)
})

test('an answer that is larger than what may be held is read in parts', async () => {
  const reader = new PartitionReader(0, 0, { maxMessages: 4, maxBytes: 1_000 }, () => {})
  reader.add(result(0, 6, 400))
  assert.deepEqual(
    (await readAll(reader, 6)).map(({ length }) => length),
    [2, 2, 2],
  )
})

test('it asks for as much of compressed messages as there is room for when they are not compressed any more', () => {
  const reader = new PartitionReader(0, 0, { maxMessages: 1_000, maxBytes: 2_000_000 }, () => {})
  reader.add({ ...result(0, 100, 5_000), wireBytes: 100 * 500 })
  assert.deepEqual(reader.request(), { partition: 0, offset: 100, maxBytes: 300 * 500 })
  reader.add({ ...result(100, 200, 5_000), wireBytes: 200 * 500 })
  assert.equal(reader.request(), undefined)
})

test('it asks for a large room in parts', () => {
  const reader = new PartitionReader(0, 0, { maxMessages: 1_000, maxBytes: 100_000_000 }, () => {})
  reader.add(result(0, 10, 100_000))
  assert.deepEqual(reader.request(), { partition: 0, offset: 10, maxBytes: 1024 * 1024 })
})

test('it knows where to go on behind messages that are followed by what nobody may see', async () => {
  const reader = new PartitionReader(0, 5, { maxMessages: 100, maxBytes: 100_000 }, () => {})
  reader.add({ ...result(5, 2), nextOffset: 8 })
  reader.add({ ...result(8, 0), nextOffset: 9 })
  reader.add({ ...result(9, 1), nextOffset: 11 })
  await readAll(reader, 3)
  assert.deepEqual(
    [5, 6, 9].map((offset) => reader.behind(offset)),
    [6, 9, 11],
  )
  reader.forget(9)
  assert.deepEqual(
    [6, 9].map((offset) => reader.behind(offset)),
    [7, 11],
    'what is finished is not remembered, but for the last one',
  )
})
