import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import type { StorageDriver } from '../../../src/storage/port.ts'
import type { Appender } from '../../support/appender-process.ts'
import { open, startAppender, temporaryFile, wholeLog } from './support.ts'

describe('several processes on one file', () => {
  test('append at the same time: positions are dense, and nothing that was acknowledged is missing', async () => {
    const file = await temporaryFile()
    // All four make the store.
    const appenders = ['a', 'b', 'c', 'd'].map((name) => startAppender(file, name, 150))
    for (const { ended } of appenders) expect(await ended).toEqual({ code: 0, errors: '' })
    await expectComplete(await open(file), mergeAcknowledged(appenders), 'exactly')
  })

  test('200 times a process is killed while it writes, and nothing that was acknowledged is missing', { timeout: 600_000 }, async () => {
    const file = await temporaryFile()
    const killed: Appender[] = []
    const killAgainAndAgain = async (lane: number) => {
      for (let round = 0; round < 50; round++) {
        const appender = startAppender(file, `${lane}-${round}`)
        await appender.reached(1 + Math.floor(Math.random() * 60))
        appender.process.kill('SIGKILL')
        const { errors } = await appender.ended
        expect(errors).toBe('')
        expect(appender.acknowledged.size).toBeGreaterThan(0)
        killed.push(appender)
      }
    }
    await Promise.all([0, 1, 2, 3].map(killAgainAndAgain))
    expect(killed).toHaveLength(200)
    await expectComplete(await open(file), mergeAcknowledged(killed), 'at least')
    const database = new DatabaseSync(file)
    expect(database.prepare('PRAGMA integrity_check').get()).toEqual({ integrity_check: 'ok' })
    database.close()
  })
})

function mergeAcknowledged(appenders: readonly Appender[]): Appender['acknowledged'] {
  return new Map(appenders.flatMap(({ acknowledged }) => [...acknowledged]))
}

/** A process that was killed may have committed what it could no longer acknowledge, so there may be more than was acknowledged. */
async function expectComplete(driver: StorageDriver, acknowledged: Appender['acknowledged'], how: 'exactly' | 'at least'): Promise<void> {
  const log = await wholeLog(driver)
  expect(log.map(({ position }) => position)).toEqual(log.map((_, index) => index + 1))
  const positions = new Map(log.map(({ id, position }) => [id, position]))
  expect(positions.size).toBe(log.length)
  const lost = [...acknowledged].filter(([id, position]) => positions.get(id) !== position)
  expect(lost).toEqual([])
  if (how === 'exactly') expect(log).toHaveLength(acknowledged.size)

  const versions = new Map<string, number>()
  for (const { stream, version } of log) {
    expect(version).toBe((versions.get(stream) ?? 0) + 1)
    versions.set(stream, version)
  }
}
