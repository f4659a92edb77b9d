import { setTimeout as delay } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openStorage } from '../../../examples/expenses/storage.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import { Program, report } from './support/program.ts'
import { describeOnRealLog, eventsInLog, knownFigures } from './support/real-log.ts'
import { describeOnEveryNamedStore } from './support/stores.ts'

describeOnRealLog('the real log of expenses', (file) => {
  describeOnEveryNamedStore('imported by a program that is killed again and again', (fresh) => {
    test('gives the known figures all the same', { timeout: 120_000 }, async () => {
      const storage = await fresh()
      await using store = await EventStore.open(await openStorage(storage), { log: silentLog })
      // Twice on the way, and once in what comes after: questions, rebuild, verification.
      // Half of the log is left then: who looks late still finds it at work.
      const moments = [0.02 + 0.2 * Math.random(), 0.25 + 0.25 * Math.random(), 1].map((share) => Math.ceil(share * eventsInLog))
      const pauseMs = 700 * Math.random()
      const heads: number[] = []
      for (const moment of moments) {
        const program = new Program(file, '--storage', storage)
        while (!program.hasEnded && (await store.log()).head < moment) await delay(2)
        if (moment === eventsInLog) await delay(pauseMs)
        program.process.kill('SIGKILL')
        const { signal, errors } = await program.ended
        if (moment < eventsInLog) expect(signal, errors).toBe('SIGKILL')
        heads.push((await store.log()).head)
      }
      const killed = `killed at ${heads.join(', ')}, the last time after ${Math.round(pauseMs)} ms`
      expect(heads[1], killed).toBeLessThan(eventsInLog)
      const found = await report(file, '--storage', storage)
      expect(found, killed).toMatchObject({
        ...knownFigures,
        imported: { imported: 0, skipped: eventsInLog, bad: 0, position: eventsInLog },
      })
      await expectWholeLog(store, killed)
    })
  })
})

/** Positions without a gap, versions without a gap in each stream, each event once. */
async function expectWholeLog(store: EventStore, message: string): Promise<void> {
  const [positions, ids, versions] = [[] as number[], new Set<string>(), new Map<string, number>()]
  const outOfOrder: number[] = []
  for await (const { position, id, source, stream, version } of store.readLog({ pageSize: 5_000 })) {
    positions.push(position)
    ids.add(`${id}\n${source}`)
    if (version !== (versions.get(stream) ?? 0) + 1) outOfOrder.push(position)
    versions.set(stream, version)
  }
  expect(positions, message).toEqual(Array.from({ length: eventsInLog }, (_, index) => index + 1))
  expect(outOfOrder, message).toEqual([])
  expect(ids.size, message).toBe(eventsInLog)
  expect(versions.size, message).toBe(knownFigures.declarations)
}
