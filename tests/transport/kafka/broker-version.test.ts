import assert from 'node:assert/strict'
import { test } from 'vitest'
import { UnsupportedBrokerError } from '../../../src/transport/errors.ts'
import { refuseOldBroker } from '../../../src/transport/kafka/client/cluster.ts'

const versions = { Produce: 7, Fetch: 11, OffsetCommit: 8, Heartbeat: 4, InitProducerId: 2, DescribeConfigs: 1 }
const apis = (known: Readonly<Record<string, number>>): { name: string; maxVersion: number }[] =>
  Object.entries(known).map(([name, maxVersion]) => ({ name, maxVersion }))

test('a broker that knows all that is needed is taken', () => {
  refuseOldBroker(apis(versions))
  refuseOldBroker(apis({ ...versions, Fetch: 17, Produce: 11 }))
})

test('an older one is refused, and what it lacks is named', () => {
  assert.throws(() => refuseOldBroker(apis({ ...versions, Heartbeat: 3 })), UnsupportedBrokerError)
  assert.throws(() => refuseOldBroker(apis({ Produce: 2 })), /Kafka 2\.4 or later is needed: .*Produce/)
})
