import assert from 'node:assert/strict'
import type { BehaviourGroup } from './behaviour.ts'
import { assertDense, assertRecorded, recorded, wholeLog } from './recorded.ts'
import { append, appending, commit, committed, event, events, mustCommit } from './write-sets.ts'

export const positions: BehaviourGroup = {
  group: 'positions and versions',
  behaviours: {
    async 'both begin at 1'({ driver }) {
      const verdict = await commit(driver, appending('order:1', 'any', events(2)))
      assert.deepEqual(verdict, { status: 'committed', firstPosition: 1, position: 2, versions: [2] })
      assert.equal((await driver.log()).head, 2)
    },

    async 'the events of a set stand behind each other, in the order of its appends'({ driver }) {
      const [a, b, c, d] = [event(), event(), event(), event()]
      const set = { appends: [append('order:2', 0, [a, b]), append('order:1', 0, [c]), append('order:3', 0, [d])] }
      assert.deepEqual(await commit(driver, set), { status: 'committed', firstPosition: 1, position: 4, versions: [2, 1, 1] })
      assertRecorded(await wholeLog(driver), [
        recorded(a, { stream: 'order:2', version: 1, position: 1 }),
        recorded(b, { stream: 'order:2', version: 2, position: 2 }),
        recorded(c, { stream: 'order:1', version: 1, position: 3 }),
        recorded(d, { stream: 'order:3', version: 1, position: 4 }),
      ])
    },

    async 'a stream that stands in a set several times gets its versions in the order of the appends'({ driver }) {
      await mustCommit(driver, appending('order:1', 'any', events(3)))
      const appends = [append('order:1', 'any', events(2)), append('order:2'), append('order:1'), append('order:2', 'any', events(3))]
      assert.deepEqual(await commit(driver, { appends }), { status: 'committed', firstPosition: 4, position: 10, versions: [5, 1, 6, 4] })
      const log = await wholeLog(driver)
      assertDense(log)
      assert.deepEqual(
        log.slice(3).map(({ id }) => id),
        appends.flatMap((one) => one.events.map(({ id }) => id)),
      )
    },

    async 'sets of a call are numbered in their order'({ driver }) {
      const sets = Array.from({ length: 50 }, (_, index) => appending(`order:${50 - index}`, 'any', events((index % 3) + 1)))
      let next = 1
      for (const [index, verdict] of (await driver.commit(sets)).entries()) {
        const { firstPosition, position } = committed(verdict)
        assert.deepEqual([firstPosition, position], [next, next + (index % 3)])
        next = position + 1
      }
    },

    async 'many sets that append to one stream in one call get versions in their order'({ driver }) {
      const sets = Array.from({ length: 60 }, (_, index) => ({
        appends: [append('shared:1', 'any', events((index % 2) + 1)), append(`shared:${(index % 5) + 2}`)],
      }))
      let version = 0
      for (const [index, verdict] of (await driver.commit(sets)).entries()) {
        version += (index % 2) + 1
        assert.deepEqual(committed(verdict).versions, [version, Math.floor(index / 5) + 1])
      }
      const log = await wholeLog(driver)
      assertDense(log)
      assert.deepEqual(
        log.map(({ id }) => id),
        sets.flatMap(({ appends }) => appends.flatMap((one) => one.events.map(({ id }) => id))),
      )
    },

    async 'refusals leave no gaps, in the log and in streams'({ driver }) {
      await mustCommit(driver, appending('order:1', 0))
      for (let round = 0; round < 5; round++) {
        assert.equal((await commit(driver, appending('order:1', 0, events(3)))).status, 'version-conflict')
        const verdicts = await driver.commit([
          appending('refused:1', 'stream-exists', events(2)),
          appending('order:1', round + 1),
          appending('refused:2', 99, events(4)),
          appending(`order:other-${round}`, 0),
          appending('refused:3', 1),
        ])
        assert.deepEqual([committed(verdicts[1]).position, committed(verdicts[3]).position], [2 + round * 2, 3 + round * 2])
      }
      const log = await wholeLog(driver)
      assertDense(log)
      assert.equal(log.length, 11)
    },

    async 'a driver that is opened later goes on from there'({ driver, reopen }) {
      await mustCommit(driver, appending('order:1', 'any', events(3)))
      await driver.close()
      const { firstPosition, versions } = await mustCommit(await reopen(), appending('order:1', 3, events(2)))
      assert.deepEqual([firstPosition, versions], [4, [5]])
    },
  },
}
