import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Verdict } from '../../../src/storage/write-set.ts'
import { open, temporaryFile, wholeLog } from './support.ts'
import { appending } from './write-sets.ts'

describe('while another process writes', () => {
  test('a commit waits for its turn, and the event loop goes on', async () => {
    const file = await temporaryFile()
    const driver = await open(file)
    const other = otherProcess(file)
    other.exec('BEGIN IMMEDIATE')
    let isDone = false
    const commit = driver.commit([appending('order:1', ['e-1'])]).finally(() => (isDone = true))
    for (let tick = 0; tick < 20; tick++) await delay(5)
    expect(isDone).toBe(false)
    other.exec('COMMIT')
    expect(await commit).toMatchObject([{ status: 'committed', position: 1 }])
  })

  test('SQLite itself never waits, which would stop the event loop', async () => {
    const driver = await open(await temporaryFile())
    const { rows } = await driver.transaction((sql) => sql.query('PRAGMA busy_timeout'))
    expect(rows).toEqual([{ timeout: 0 }])
  })

  test('a commit gives up in time with an error that is transient, and leaves nothing behind', async () => {
    const file = await temporaryFile()
    const driver = await open(file, { lockTimeoutMs: 50 })
    const other = otherProcess(file)
    other.exec('BEGIN IMMEDIATE')
    const error: unknown = await driver.commit([appending('order:1', ['e-1'])]).catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'store-unavailable', cause: { errcode: 5 } })
    expect(driver.isTransient(error)).toBe(true)
    other.exec('ROLLBACK')
    expect(await driver.commit([appending('order:1', ['e-1'])])).toMatchObject([{ status: 'committed', position: 1 }])
  })

  test('readers read', async () => {
    const file = await temporaryFile()
    const driver = await open(file)
    await driver.commit([appending('order:1', ['e-1'])])
    const other = otherProcess(file)
    other.exec('BEGIN IMMEDIATE; DELETE FROM headwater_events')
    expect(await wholeLog(driver)).toHaveLength(1)
    other.exec('ROLLBACK')
  })
})

test('somebody who holds an old snapshot stalls neither appends nor readers', async () => {
  const file = await temporaryFile()
  const driver = await open(file)
  await driver.commit([appending('order:1', ['e-0'])])
  const other = otherProcess(file)
  other.exec('BEGIN')
  const count = other.prepare('SELECT count(*) AS count FROM headwater_events')
  expect(count.get()).toEqual({ count: 1 })
  // Enough to fill the write-ahead log several times over.
  for (let round = 0; round < 100; round++)
    await driver.commit([
      appending(
        'order:1',
        Array.from({ length: 500 }, (_, index) => `e-${round}-${index}`),
      ),
    ])
  expect(count.get()).toEqual({ count: 1 })
  expect(await wholeLog(driver)).toHaveLength(50_001)
  other.exec('COMMIT')
  expect(count.get()).toEqual({ count: 50_001 })
})

describe('a transaction of user code', () => {
  for (const where of ['in a file', 'in memory']) {
    const path = where === 'in memory' ? async () => ':memory:' : temporaryFile

    test(`${where} shares nothing with the commits around it`, async () => {
      const driver = await open(await path())
      const commits: Promise<readonly Verdict[]>[] = []
      const transaction = driver.transaction(async (sql) => {
        await sql.query('CREATE TABLE totals (total)')
        commits.push(driver.commit([appending('order:1', ['e-1'])]))
        await nextTurn()
        throw new Error('changed my mind')
      })
      await expect(transaction).rejects.toThrow('changed my mind')
      expect(await commits[0]).toMatchObject([{ status: 'committed', position: 1 }])
      await expect(driver.transaction((sql) => sql.query('SELECT * FROM totals'))).rejects.toThrow(/no such table: totals/)
      expect(await wholeLog(driver)).toHaveLength(1)
    })

    test(`${where} takes its turn among others, in order`, async () => {
      const driver = await open(await path())
      const order: string[] = []
      const transactions = ['first', 'second', 'third'].map((name) =>
        driver.transaction(async () => {
          order.push(`${name} begins`)
          await nextTurn()
          order.push(`${name} ends`)
        }),
      )
      await Promise.all(transactions)
      expect(order).toEqual(['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]))
    })
  }

  test('cannot end itself, nor go on after its end', async () => {
    const driver = await open(await temporaryFile())
    await expect(driver.transaction((sql) => sql.query('COMMIT'))).rejects.toThrow(/leave out COMMIT and ROLLBACK/)
    const escaped = await driver.transaction(async (sql) => sql)
    await expect(escaped.query('SELECT 1')).rejects.toThrow(/await every query/)
    await expect(driver.transaction((sql) => sql.query('SELECT ?', [{ a: 1 }]))).rejects.toThrow(/cannot store value 1/)
    expect(await driver.commit([appending('order:1', ['e-1'])])).toMatchObject([{ status: 'committed' }])
  })

  test('whose checkpoint is fenced is not committed, also if it overlooks that', async () => {
    const driver = await open(await temporaryFile())
    await driver.processors.claim({ processor: 'totals', owner: 'me', ttlMs: 1_000, startAt: 0 })
    const overlooking = driver.transaction(async (sql) => {
      await sql.query('CREATE TABLE totals (total)')
      await sql.moveCheckpoint({ processor: 'totals', epoch: 99, position: 1 })
    })
    await expect(overlooking).rejects.toMatchObject({ code: 'fenced' })
    await expect(driver.transaction((sql) => sql.query('SELECT * FROM totals'))).rejects.toThrow(/no such table/)
  })

  test('comes to its end before the store is closed; what waits behind it is refused', async () => {
    const driver = await open(await temporaryFile())
    const order: string[] = []
    let begin: () => void = () => {}
    const hasBegun = new Promise<void>((resolve) => (begin = resolve))
    const transaction = driver.transaction(async () => {
      begin()
      await nextTurn()
      await nextTurn()
      order.push('transaction')
    })
    await hasBegun
    const commit = driver.commit([appending('order:1', ['e-1'])])
    const closed = driver.close().then(() => order.push('closed'))
    await expect(commit).rejects.toMatchObject({ code: 'store-closed' })
    await transaction
    await closed
    expect(order).toEqual(['transaction', 'closed'])
  })
})

test('who only awaits one read after the other lets timers run', async () => {
  const driver = await open(await temporaryFile())
  const reader = { isStopped: false }
  setTimeout(() => (reader.isStopped = true), 20)
  while (!reader.isStopped) await driver.log()
})

/** A connection that knows nothing of the driver. SQLite treats it like one of another process. */
function otherProcess(file: string): DatabaseSync {
  const database = new DatabaseSync(file)
  onTestFinished(() => database.close())
  return database
}
