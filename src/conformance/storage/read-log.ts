import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { assertDense, assertRecorded, recorded, wholeLog } from './recorded.ts'
import { append, event, mustCommit } from './write-sets.ts'

async function positionsOf(driver: StorageDriver, range: { after: number; upTo?: number; limit: number }): Promise<readonly number[]> {
  return (await driver.readLog(range)).map(({ position }) => position)
}

async function furnish(driver: StorageDriver, count: number): Promise<void> {
  await mustCommit(driver, { appends: Array.from({ length: count }, (_, index) => append(`order:${index % 7}`)) })
}

export const readLog: BehaviourGroup = {
  group: 'read the log',
  behaviours: {
    async 'begins after a position'({ driver }) {
      await furnish(driver, 10)
      assert.deepEqual(await positionsOf(driver, { after: 0, limit: 100 }), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
      assert.deepEqual(await positionsOf(driver, { after: 7, limit: 100 }), [8, 9, 10])
      assert.deepEqual(await positionsOf(driver, { after: 10, limit: 100 }), [])
      assert.deepEqual(await positionsOf(driver, { after: 1_000_000, limit: 100 }), [])
    },

    async 'ends at a position, which is included'({ driver }) {
      await furnish(driver, 10)
      assert.deepEqual(await positionsOf(driver, { after: 0, upTo: 3, limit: 100 }), [1, 2, 3])
      assert.deepEqual(await positionsOf(driver, { after: 3, upTo: 5, limit: 100 }), [4, 5])
      assert.deepEqual(await positionsOf(driver, { after: 5, upTo: 5, limit: 100 }), [])
      assert.deepEqual(await positionsOf(driver, { after: 6, upTo: 5, limit: 100 }), [])
      assert.deepEqual(await positionsOf(driver, { after: 8, upTo: Number.MAX_SAFE_INTEGER, limit: 100 }), [9, 10])
    },

    async 'gives as many as the limit'({ driver }) {
      await furnish(driver, 10)
      assert.deepEqual(await positionsOf(driver, { after: 0, limit: 4 }), [1, 2, 3, 4])
      assert.deepEqual(await positionsOf(driver, { after: 4, upTo: 9, limit: 4 }), [5, 6, 7, 8])
      assert.deepEqual(await positionsOf(driver, { after: 8, upTo: 9, limit: 4 }), [9])
    },

    async 'gives the same in pages of any size'({ driver }) {
      await furnish(driver, 100)
      const whole = await wholeLog(driver, 1_000)
      assert.equal(whole.length, 100)
      assertDense(whole)
      for (const size of [1, 7, 50, 100]) assertRecorded(await wholeLog(driver, size), whole, `pages of ${size}`)
    },

    async 'gives events with everything that was said about them'({ driver, reopen }) {
      const one = event({
        type: 'OrderPlaced',
        source: 'elsewhere',
        schemaVersion: 2,
        timeMs: 86_400_000,
        correlationId: 'correlation',
        causationId: 'causation',
        data: '{"total":1}',
        metadata: '{"user":"u"}',
        tags: ['b', 'a'],
      })
      const other = event()
      await mustCommit(driver, { appends: [append('order:1', 'any', [one]), append('order:2', 'any', [other])] })
      const expected = [
        recorded(one, { stream: 'order:1', version: 1, position: 1 }),
        recorded(other, { stream: 'order:2', version: 1, position: 2 }),
      ]
      assertRecorded(await driver.readLog({ after: 0, limit: 10 }), expected)
      assertRecorded(await (await reopen()).readLog({ after: 0, limit: 10 }), expected)
    },

    async 'tells its state'({ driver, reopen }) {
      const empty = await driver.log()
      assert.deepEqual({ head: empty.head, firstPosition: empty.firstPosition }, { head: 0, firstPosition: 1 })
      assert.equal(typeof empty.id, 'string')
      assert.notEqual(empty.id, '')
      await furnish(driver, 12)
      assert.deepEqual(await driver.log(), { id: empty.id, head: 12, firstPosition: 1 })
      assert.deepEqual(await (await reopen()).log(), { id: empty.id, head: 12, firstPosition: 1 })
    },
  },
}
