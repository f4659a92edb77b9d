import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'vitest'
import { storageConformance } from '../../../src/conformance/index.ts'
import { sqlite } from '../../../src/storage/sqlite/index.ts'

const harness = {
  async open() {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-sqlite-'))
    return { storage: sqlite(join(directory, 'store.db')), dispose: () => rm(directory, { recursive: true }) }
  },
}

describe('the driver for SQLite', () => {
  for (const { group, name, run } of storageConformance(harness))
    test(`${group}: ${name}`, async ({ skip }) => {
      const outcome = await run()
      if (outcome) skip(outcome.skipped)
    })
})
