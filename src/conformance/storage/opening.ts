import assert from 'node:assert/strict'
import { HeadwaterError } from '../../message/errors.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { assertRecorded, wholeLog } from './recorded.ts'
import { everything, makeCollection, tracesOf } from './traces.ts'
import { appending, mustCommit } from './write-sets.ts'

export const opening: BehaviourGroup = {
  group: 'open and close',
  behaviours: {
    async 'a driver says what it can do'({ driver }) {
      const { name, parallelCommits, sql } = driver.capabilities
      assert.ok(name.length > 0)
      assert.ok(Number.isInteger(parallelCommits) && parallelCommits >= 0, `parallelCommits: ${parallelCommits}`)
      assert.ok(['sqlite', 'postgres', false].includes(sql), `sql: ${sql}`)
    },

    async 'a new store is empty'({ driver }) {
      assert.deepEqual(await driver.readLog({ after: 0, limit: 10 }), [])
      assert.deepEqual(await driver.listStreams({ limit: 10 }), [])
      assert.deepEqual(await driver.processors.list(), [])
      assert.deepEqual(await driver.documents.list(), [])
      assert.equal((await driver.log()).head, 0)
    },

    async 'what was committed is there when the store is opened again'({ driver, reopen }) {
      await makeCollection(driver)
      const claim = await driver.processors.claim({ processor: 'summary', owner: 'me', ttlMs: 60_000, startAt: 0 })
      assert.ok(claim.claimed)
      await mustCommit(driver, everything('order:1', 'summary', claim.epoch))
      const [log, traces, before] = [await driver.log(), await tracesOf(driver, 'order:1'), await wholeLog(driver)]
      await driver.close()
      for (const migrate of [true, false]) {
        const again = await reopen({ migrate })
        assert.deepEqual(await again.log(), log)
        assert.deepEqual(await tracesOf(again, 'order:1'), traces)
        assertRecorded(await wholeLog(again), before)
        await again.close()
      }
    },

    async 'a store that was not made yet is refused unless it may be migrated'({ unopened }) {
      const storage = await unopened()
      for (let attempt = 0; attempt < 2; attempt++)
        await assert.rejects(storage.open({ migrate: false }), (error) => {
          assert.ok(error instanceof HeadwaterError, `an error of Headwater, not ${String(error)}`)
          assert.equal(error.code, 'unsupported-store')
          return true
        })
      assert.equal((await (await storage.open({ migrate: true })).log()).head, 0)
      await storage.open({ migrate: false })
    },

    async 'several that open a new store at the same time make one log'({ unopened }) {
      const storage = await unopened()
      const drivers = await Promise.all(Array.from({ length: 5 }, () => storage.open({ migrate: true })))
      const ids = new Set(await Promise.all(drivers.map(async (one) => (await one.log()).id)))
      assert.equal(ids.size, 1)
      await mustCommit(drivers[0]!, appending('order:1', 0))
      assert.equal((await drivers[4]!.log()).head, 1)
    },

    async 'each store has a log of its own'({ driver, unopened }) {
      const other = await (await unopened()).open({ migrate: true })
      await mustCommit(driver, appending('order:1'))
      assert.notEqual((await driver.log()).id, (await other.log()).id)
      assert.equal((await other.log()).head, 0)
    },

    async 'a driver that is closed refuses to work, and says that trying again is of no use'({ driver, reopen }) {
      const other = await reopen()
      await mustCommit(driver, appending('order:1'))
      await driver.close()
      const attempts = [
        () => driver.commit([appending('order:2')]),
        () => driver.readLog({ after: 0, limit: 1 }),
        () => driver.log(),
        () => driver.documents.list(),
        () => driver.processors.list(),
      ]
      for (const attempt of attempts)
        await assert.rejects(attempt, (error) => {
          assert.equal(driver.isTransient(error), false, String(error))
          return true
        })
      assert.equal((await other.log()).head, 1)
    },

    async 'closing twice does no harm'({ driver }) {
      await driver.close()
      await driver.close()
    },

    async 'an error that no database made is not transient'({ driver }) {
      for (const error of [new Error('x'), new TypeError('x'), undefined, null, 'x', { code: 'x' }])
        assert.equal(driver.isTransient(error), false)
    },
  },
}
