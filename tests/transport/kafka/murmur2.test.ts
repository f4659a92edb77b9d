import assert from 'node:assert/strict'
import fc from 'fast-check'
import { Partitioners } from 'kafkajs'
import { test } from 'vitest'
import { murmur2, partitionOf } from '../../../src/transport/kafka/murmur2.ts'

// Those of the Java client's own test (UtilsTest.testMurmur2).
const known: readonly (readonly [string, number])[] = [
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
]

for (const [key, hash] of known)
  test(`the hash of ${key} is that of the Java client`, () => {
    assert.equal(murmur2(Buffer.from(key)), hash)
  })

test('every key has the partition that kafkajs gives it', () => {
  const partitionByKafkajs = Partitioners.DefaultPartitioner()
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.integer({ min: 1, max: 200 }), (key, partitions) => {
      const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
        partitionId,
        leader: 1,
        partitionErrorCode: 0,
        replicas: [1],
        isr: [1],
      }))
      const theirs = partitionByKafkajs({ topic: 't', partitionMetadata, message: { key: Buffer.from(key), value: '' } })
      assert.equal(partitionOf(key, partitions), theirs)
    }),
  )
})
