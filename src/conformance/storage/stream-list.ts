import assert from 'node:assert/strict'
import { categoryOf } from '../../storage/stream-name.ts'
import type { StreamInfo } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames, compareBytes } from './names.ts'
import { append, appending, events, mustCommit } from './write-sets.ts'

export const streamList: BehaviourGroup = {
  group: 'list streams',
  behaviours: {
    async 'each with its last version and position'({ driver }) {
      assert.deepEqual(await driver.listStreams({ limit: 10 }), [])
      await mustCommit(driver, { appends: [append('order:2', 'any', events(2)), append('order:1'), append('order:2')] })
      await mustCommit(driver, appending('invoice:1'))
      assert.deepEqual(await driver.listStreams({ limit: 10 }), [
        { stream: 'invoice:1', version: 1, position: 5 },
        { stream: 'order:1', version: 1, position: 3 },
        { stream: 'order:2', version: 3, position: 4 },
      ])
    },

    async 'in pages, in the order of their names, byte by byte'({ driver }) {
      const names = [...awkwardNames, 'a', 'B', 'b', 'é', 'z', '\uff5e', '\u{10000}'].map((name) => `s:${name}`)
      await mustCommit(driver, { appends: names.map((name) => append(name)) })
      for (const limit of [1, 10, 1_000]) {
        const listed: StreamInfo[] = []
        for (;;) {
          const after = listed.at(-1)?.stream
          const page = await driver.listStreams({ limit, ...(after !== undefined && { after }) })
          listed.push(...page)
          if (page.length < limit) break
        }
        assert.deepEqual(
          listed.map(({ stream }) => stream),
          names.toSorted(compareBytes),
        )
        for (const { stream, position } of listed) assert.equal(position, names.indexOf(stream) + 1)
      }
    },

    async 'of one category, which is the part before the first colon'({ driver }) {
      const names = ['order:1', 'order:2:3', 'orders:1', 'order', 'Order:1', 'order-line:1', 'ord_r:1', 'ord%:1', '%:1', ':1', 'a:order:1']
      await mustCommit(driver, { appends: [...names, ...awkwardNames].map((name) => append(name)) })
      const all = [...names, ...awkwardNames]
      for (const category of new Set(all.map(categoryOf))) {
        if (category === '') continue
        assert.deepEqual(
          (await driver.listStreams({ category, limit: 100 })).map(({ stream }) => stream),
          [...new Set(all.filter((name) => categoryOf(name) === category))].toSorted(compareBytes),
          category,
        )
      }
      assert.deepEqual(
        (await driver.listStreams({ category: 'order', after: 'order:1', limit: 1 })).map(({ stream }) => stream),
        ['order:2:3'],
      )
      assert.deepEqual(await driver.listStreams({ category: 'nothing', limit: 10 }), [])
    },
  },
}
