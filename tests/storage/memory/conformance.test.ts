import { describe, test } from 'vitest'
import { storageConformance } from '../../../src/conformance/index.ts'
import { memory } from '../../support/memory-driver.ts'

// The model that other drivers are compared with must itself keep the port's promises.
describe('the model in memory', () => {
  for (const { group, name, run } of storageConformance({ open: async () => ({ storage: memory(), dispose: async () => {} }) }))
    test(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await run()
      if (outcome) skip(outcome.skipped)
    })
})
