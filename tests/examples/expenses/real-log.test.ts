import { readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { countInPlainLoop } from './support/plain-loop.ts'
import { report } from './support/program.ts'
import { describeOnRealLog, eventsInLog, knownFigures } from './support/real-log.ts'
import { describeOnEveryNamedStore } from './support/stores.ts'

describeOnRealLog('the real log of expenses', (file) => {
  describeOnEveryNamedStore('imported', (fresh) => {
    test('gives the known figures to the cent, and again when it is imported again', async () => {
      const storage = await fresh()
      const { events, longest: _, ...counted } = countInPlainLoop(gunzipSync(await readFile(file)).toString())
      expect(events).toBe(eventsInLog)
      for (const imported of [eventsInLog, 0]) {
        const found = await report(file, '--storage', storage)
        expect(found).toMatchObject({
          ...counted,
          ...knownFigures,
          imported: { imported, skipped: eventsInLog - imported, bad: 0, position: eventsInLog },
        })
      }
    })
  })
})
