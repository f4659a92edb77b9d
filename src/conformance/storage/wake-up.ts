import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { BehaviourGroup } from './behaviour.ts'
import { eventually } from './patience.ts'
import { appending, mustCommit } from './write-sets.ts'

export const wakeUp: BehaviourGroup = {
  group: 'wake-up',
  behaviours: {
    async 'whoever listens is woken after another driver has appended, each time'({ driver, reopen }) {
      const other = await reopen()
      let calls = 0
      const stop = await other.listen(() => calls++)
      for (let round = 0; round < 3; round++) {
        const before = calls
        const { position } = await mustCommit(driver, appending('order:1'))
        driver.announce(position)
        await eventually('the listener is woken', () => calls > before)
      }
      await stop()
    },

    async 'several listeners are all woken, and stop each by itself'({ driver, reopen }) {
      const other = await reopen()
      let [first, second, third] = [0, 0, 0]
      const stopFirst = await other.listen(() => first++)
      const stopSecond = await other.listen(() => second++)
      const stopThird = await (await reopen()).listen(() => third++)
      driver.announce((await mustCommit(driver, appending('order:1'))).position)
      await eventually('all three are woken', () => first > 0 && second > 0 && third > 0)
      await stopFirst()
      const [atStop, before] = [first, second]
      driver.announce((await mustCommit(driver, appending('order:1'))).position)
      await eventually('the others are woken', () => second > before)
      assert.equal(first, atStop, 'whoever has stopped is not called')
      await stopSecond()
      await stopThird()
    },

    async 'nobody is called after having stopped'({ driver, reopen }) {
      const other = await reopen()
      let calls = 0
      const stop = await other.listen(() => calls++)
      await stop()
      const atStop = calls
      driver.announce((await mustCommit(driver, appending('order:1'))).position)
      await delay(300)
      assert.equal(calls, atStop)
    },

    async 'the last of many announcements is not lost among them'({ driver, reopen }) {
      const other = await reopen()
      let seen = 0
      const stop = await other.listen(() => {
        void other.log().then(({ head }) => (seen = Math.max(seen, head)))
      })
      for (let index = 1; index <= 50; index++) driver.announce((await mustCommit(driver, appending(`order:${index}`))).position)
      await eventually('the listener hears of the last append', () => seen === 50)
      await stop()
    },

    async 'announcing without anybody who listens does no harm'({ driver }) {
      driver.announce(0)
      driver.announce((await mustCommit(driver, appending('order:1'))).position)
      assert.equal((await driver.log()).head, 1)
    },

    async 'a driver that listens can be closed'({ driver, reopen }) {
      const other = await reopen()
      let calls = 0
      await other.listen(() => calls++)
      await other.close()
      const atClose = calls
      driver.announce((await mustCommit(driver, appending('order:1'))).position)
      await delay(100)
      assert.equal(calls, atClose)
    },
  },
}
