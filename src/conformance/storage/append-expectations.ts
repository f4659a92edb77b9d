import assert from 'node:assert/strict'
import type { ExpectedVersion } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { wholeStream } from './recorded.ts'
import { append, appending, commit, committed, companies, events, mustCommit } from './write-sets.ts'

interface Case {
  readonly expectation: ExpectedVersion
  /** How many events the stream has before. */
  readonly has: number
  readonly met: boolean
}

// The largest number that the core lets through must be judged like any other, and not overflow a column or parameter.
const cases: readonly Case[] = [
  { expectation: 'any', has: 0, met: true },
  { expectation: 'no-stream', has: 0, met: true },
  { expectation: 'stream-exists', has: 0, met: false },
  { expectation: 0, has: 0, met: true },
  { expectation: 1, has: 0, met: false },
  { expectation: Number.MAX_SAFE_INTEGER, has: 0, met: false },
  { expectation: 'any', has: 3, met: true },
  { expectation: 'no-stream', has: 3, met: false },
  { expectation: 'stream-exists', has: 3, met: true },
  { expectation: 0, has: 3, met: false },
  { expectation: 2, has: 3, met: false },
  { expectation: 3, has: 3, met: true },
  { expectation: 4, has: 3, met: false },
  { expectation: Number.MAX_SAFE_INTEGER, has: 3, met: false },
]

const table = cases.flatMap(({ expectation, has, met }) =>
  companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
    `${expectation} is ${met ? 'met' : 'not met'} by a stream ${has === 0 ? 'without events' : `at version ${has}`}, judged ${how}`,
    async ({ driver }) => {
      for (const count of [1, 2]) {
        const stream = `order:${count}`
        if (has > 0) await mustCommit(driver, appending(stream, 'any', events(has)))
        const verdict = await judge(driver, appending(stream, expectation, events(count)))
        if (met) assert.deepEqual(committed(verdict).versions, [has + count])
        else assert.deepEqual(verdict, { status: 'version-conflict', stream, expected: expectation, actual: has })
        assert.equal((await wholeStream(driver, stream)).length, met ? has + count : has)
      }
    },
  ]),
)

export const appendExpectations: BehaviourGroup = {
  group: 'append: expectations',
  behaviours: {
    ...Object.fromEntries(table),

    async 'the actual version of a refusal, used as the next expectation, is met'({ driver }) {
      await mustCommit(driver, appending('order:1', 'no-stream', events(5)))
      const verdict = await commit(driver, appending('order:1', 2))
      assert.ok(verdict.status === 'version-conflict')
      assert.deepEqual((await mustCommit(driver, appending('order:1', verdict.actual))).versions, [6])
    },

    async 'a refusal among several appends names the stream that is not as expected'({ driver }) {
      await mustCommit(driver, appending('order:2', 'any', events(4)))
      const appends = [append('order:1', 'no-stream'), append('order:2', 3), append('order:3', 0)]
      assert.deepEqual(await commit(driver, { appends }), { status: 'version-conflict', stream: 'order:2', expected: 3, actual: 4 })
    },

    async 'many sets of one call are each judged by their own stream'({ driver }) {
      const streams = Array.from({ length: 100 }, (_, index) => ({ stream: `order:${index}`, has: index % 4 }))
      await driver.commit(streams.filter(({ has }) => has > 0).map(({ stream, has }) => appending(stream, 0, events(has))))
      const verdicts = await driver.commit(streams.map(({ stream }) => appending(stream, 2)))
      for (const [index, { stream, has }] of streams.entries()) {
        if (has === 2) assert.deepEqual(committed(verdicts[index]).versions, [3])
        else assert.deepEqual(verdicts[index], { status: 'version-conflict', stream, expected: 2, actual: has })
      }
    },

    async 'a driver meets what another one has appended'({ driver, reopen }) {
      const other = await reopen()
      await mustCommit(other, appending('order:1', 'no-stream', events(2)))
      assert.deepEqual(await commit(driver, appending('order:1', 'no-stream')), {
        status: 'version-conflict',
        stream: 'order:1',
        expected: 'no-stream',
        actual: 2,
      })
      assert.deepEqual((await mustCommit(driver, appending('order:1', 2))).versions, [3])
      assert.deepEqual((await mustCommit(other, appending('order:1', 3))).versions, [4])
    },
  },
}
