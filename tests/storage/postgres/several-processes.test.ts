import { expect, test } from 'vitest'
import type { StorageDriver } from '../../../src/storage/port.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import type { Appender } from '../../support/appender-process.ts'
import { startAppender } from './processes.ts'
import { open, schemaFor, wholeLog } from './support.ts'

describeOnPostgres('several processes on one store', (url) => {
  test('append at the same time: positions are dense, and nothing that was acknowledged is missing', { timeout: 120_000 }, async () => {
    const schema = schemaFor(url)
    // All of them make the store.
    const appenders = ['a', 'b', 'c'].map((name) => startAppender(url, schema, name, 150))
    for (const { ended } of appenders) expect(await ended).toEqual({ code: 0, errors: '' })
    const events = await expectComplete(await open(url, { schema }), appenders)
    expect(events).toBe(appenders.reduce((sum, { acknowledged }) => sum + acknowledged.size, 0))
  })

  test('200 times a process is killed while it writes, and nothing that was acknowledged is missing', { timeout: 600_000 }, async () => {
    const schema = schemaFor(url)
    const driver = await open(url, { schema })
    const killed: Appender[] = []
    const killAgainAndAgain = async (lane: number) => {
      for (let round = 0; round < 50; round++) {
        const appender = startAppender(url, schema, `${lane}-${round}`)
        await appender.reached(1 + Math.floor(Math.random() * 60))
        appender.process.kill('SIGKILL')
        expect((await appender.ended).errors).toBe('')
        expect(appender.acknowledged.size).toBeGreaterThan(0)
        killed.push(appender)
      }
    }
    await Promise.all([0, 1, 2, 3].map(killAgainAndAgain))
    expect(killed).toHaveLength(200)
    await expectComplete(driver, killed)
  })
})

/** A process that was killed may have committed what it could no longer acknowledge, so there may be more than was acknowledged. */
async function expectComplete(driver: StorageDriver, appenders: readonly Appender[]): Promise<number> {
  const log = await wholeLog(driver)
  expect(log.map(({ position }) => position)).toEqual(log.map((_, index) => index + 1))
  const positions = new Map(log.map(({ id, position }) => [id, position]))
  expect(positions.size).toBe(log.length)
  const lost = appenders.flatMap(({ acknowledged }) => [...acknowledged].filter(([id, position]) => positions.get(id) !== position))
  expect(lost).toEqual([])
  const versions = new Map<string, number>()
  for (const { stream, version } of log) {
    expect(version).toBe((versions.get(stream) ?? 0) + 1)
    versions.set(stream, version)
  }
  return log.length
}
