import assert from 'node:assert/strict'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames } from './names.ts'
import { assertRecorded, recorded, wholeLog } from './recorded.ts'
import { append, appending, commit, committed, companies, event, events, mustCommit } from './write-sets.ts'

const repeated = companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
  `a set that comes again is recognised by its event ids before its expectation is looked at, judged ${how}`,
  async ({ driver }) => {
    for (const expectation of ['any', 'no-stream', 0] as const)
      for (const count of [1, 3]) {
        const stream = `order:${expectation}:${count}`
        const set = appending(stream, expectation, events(count))
        await mustCommit(driver, set)
        assert.deepEqual(await judge(driver, set), { status: 'duplicate-id' })
        assert.equal((await driver.readStream({ stream, direction: 'forwards', limit: 10 })).length, count)
      }
  },
])

export const appendIdempotency: BehaviourGroup = {
  group: 'append: idempotency',
  behaviours: {
    ...Object.fromEntries(repeated),

    async 'another driver recognises it too'({ driver, reopen }) {
      const set = appending('order:1', 'any', events(2))
      await mustCommit(driver, set)
      assert.deepEqual(await commit(await reopen(), set), { status: 'duplicate-id' })
    },

    async 'one known id refuses the whole set, wherever it stands in it'({ driver }) {
      const known = event()
      await mustCommit(driver, appending('order:1', 'any', [known]))
      for (const place of [0, 1, 2]) {
        const batch = [...events(2)]
        batch.splice(place, 0, known)
        assert.deepEqual(await commit(driver, appending('order:1', 'any', batch)), { status: 'duplicate-id' })
      }
      const appends = [append('order:2'), append('order:3', 'any', [known])]
      assert.deepEqual(await commit(driver, { appends }), { status: 'duplicate-id' })
      assertRecorded(await wholeLog(driver), [recorded(known, { stream: 'order:1', version: 1, position: 1 })])
    },

    async 'a known id is recognised in another stream and with another type and payload'({ driver }) {
      const known = event()
      await mustCommit(driver, appending('order:1', 'any', [known]))
      const disguised = event({ id: known.id, type: 'Different', data: '{"other":true}' })
      assert.deepEqual(await commit(driver, appending('invoice:9', 'no-stream', [disguised])), { status: 'duplicate-id' })
    },

    async 'the same id from another source is another event'({ driver }) {
      const ours = event({ source: 'ours' })
      const theirs = event({ id: ours.id, source: 'theirs' })
      await mustCommit(driver, appending('order:1', 'any', [ours]))
      await mustCommit(driver, appending('order:1', 'any', [theirs]))
      const third = event({ id: ours.id, source: 'third' })
      const fourth = event({ id: ours.id, source: 'fourth' })
      await mustCommit(driver, appending('order:1', 'any', [third, fourth]))
      assert.equal((await wholeLog(driver)).length, 4)
      assert.deepEqual(await commit(driver, appending('order:1', 'any', [theirs])), { status: 'duplicate-id' })
    },

    // Were the two joined by some character, ('a', 'bc') and ('ab', 'c') might be taken for one.
    async 'source and id are compared apart and exactly'({ driver }) {
      const alike = awkwardNames.flatMap((name) => [event({ id: name, source: 's' }), event({ id: 's', source: name })])
      alike.push(event({ id: 'c', source: 'a b' }), event({ id: 'b c', source: 'a' }), event({ id: 'bc', source: 'a' }))
      alike.push(event({ id: 'c', source: 'ab' }), event({ id: 'b/c', source: 'a' }), event({ id: 'c', source: 'a/b' }))
      const verdicts = await driver.commit(alike.map((one, index) => appending(`order:${index}`, 'no-stream', [one])))
      for (const verdict of verdicts) committed(verdict)
      for (const one of alike) assert.deepEqual(await commit(driver, appending('order:again', 'any', [one])), { status: 'duplicate-id' })
    },

    async 'known and new sets of one call are told apart'({ driver }) {
      const sets = Array.from({ length: 40 }, (_, index) => appending(`order:${index}`, 'any', events(2)))
      await driver.commit(sets.filter((_, index) => index % 3 === 0))
      const verdicts = await driver.commit(sets)
      assert.deepEqual(
        verdicts.map(({ status }) => status),
        sets.map((_, index) => (index % 3 === 0 ? 'duplicate-id' : 'committed')),
      )
      assert.equal((await driver.log()).head, 80)
    },

    async 'stored events are found by source and id, so that the first result can be told'({ driver }) {
      const [first, second, third] = [event({ tags: ['a'] }), event({ metadata: '{"user":"u"}' }), event({ source: 'elsewhere' })]
      await mustCommit(driver, appending('order:1', 'any', [first, second]))
      await mustCommit(driver, appending('order:2', 'any', [third]))
      const unknown = [
        { source: 'elsewhere', id: first.id },
        { source: 'conformance', id: 'never stored' },
      ]
      const found = await driver.findEvents([third, ...unknown, first, second].map(({ source, id }) => ({ source, id })))
      assertRecorded(
        found.toSorted((left, right) => left.position - right.position),
        [
          recorded(first, { stream: 'order:1', version: 1, position: 1 }),
          recorded(second, { stream: 'order:1', version: 2, position: 2 }),
          recorded(third, { stream: 'order:2', version: 1, position: 3 }),
        ],
      )
      assert.deepEqual(await driver.findEvents(unknown), [])
      assert.deepEqual(await driver.findEvents([]), [])
    },
  },
}
