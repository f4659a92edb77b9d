import { beforeAll, describe, test } from 'vitest'
import type { TransportBehaviour, TransportHarness } from '../../src/conformance/index.ts'
import { transportConformance } from '../../src/conformance/index.ts'
import type { ModelOptions } from './memory-topic.ts'
import { MemoryBroker } from './memory-transport.ts'

const models: readonly Partial<ModelOptions>[] = [
  { ordering: 'partition' },
  { ordering: 'partition', deduplicates: true, maxDelayMs: 60_000 },
  { ordering: 'queue', priorities: true, maxDelayMs: 60_000 },
  { ordering: 'queue', keepsHistory: true, deduplicates: true },
  { ordering: 'group', deduplicates: true },
  { ordering: 'none' },
]

// The suite must ask of nobody more than the port does: of each kind of broker there is a model that passes.
describe.each(models)('the model %j', (options) => {
  const broker = new MemoryBroker(options)
  const harness: TransportHarness = { transport: broker, forget: async (topic, partition, upTo) => broker.forget(topic, partition, upTo) }
  const suite = transportConformance(harness)
  let outcomes: readonly ReturnType<TransportBehaviour['run']>[] = []
  // All at the same time: they mostly wait for what must not come.
  beforeAll(() => {
    outcomes = suite.map(({ run }) => run())
    for (const outcome of outcomes) outcome.catch(() => undefined)
  })

  for (const [index, { group, name }] of suite.entries())
    test(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await outcomes[index]
      if (outcome) skip(outcome.skipped)
    })
})
