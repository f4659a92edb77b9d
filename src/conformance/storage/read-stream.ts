import assert from 'node:assert/strict'
import type { StorageDriver, StreamRange } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { assertRecorded, recorded } from './recorded.ts'
import { append, appending, event, events, mustCommit } from './write-sets.ts'

/** Ten versions of `order:1`, one a minute but for version 7, whose clock was five minutes slow. */
async function furnish(driver: StorageDriver): Promise<void> {
  await mustCommit(driver, appending('order:10', 'any', events(3)))
  const minute = (version: number): number => (version === 7 ? 2 : version) * 60_000
  const all = Array.from({ length: 10 }, (_, index) => event({ timeMs: minute(index + 1) }))
  await mustCommit(driver, { appends: [append('order:1', 'any', all.slice(0, 5)), append('order:1:2'), append('Order:1')] })
  await mustCommit(driver, appending('order:1', 5, all.slice(5)))
}

type Range = Partial<StreamRange>
const cases: readonly [string, Range, readonly number[]][] = [
  ['all of it forwards', {}, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]],
  ['all of it backwards', { direction: 'backwards' }, [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]],
  ['from a version, which is included', { fromVersion: 8 }, [8, 9, 10]],
  ['to a version, which is included', { toVersion: 3 }, [1, 2, 3]],
  ['between two versions', { fromVersion: 3, toVersion: 5 }, [3, 4, 5]],
  ['one version', { fromVersion: 4, toVersion: 4 }, [4]],
  ['backwards from a version, which is included', { direction: 'backwards', fromVersion: 3 }, [3, 2, 1]],
  ['backwards to a version, which is included', { direction: 'backwards', toVersion: 8 }, [10, 9, 8]],
  ['backwards between two versions', { direction: 'backwards', fromVersion: 6, toVersion: 4 }, [6, 5, 4]],
  ['nothing between bounds that are the wrong way round', { fromVersion: 5, toVersion: 3 }, []],
  ['nothing backwards between bounds that are the wrong way round', { direction: 'backwards', fromVersion: 3, toVersion: 5 }, []],
  ['nothing behind its end', { fromVersion: 11 }, []],
  ['all of it from a bound before its beginning', { fromVersion: 0, toVersion: 2 }, [1, 2]],
  ['backwards from a bound behind its end', { direction: 'backwards', fromVersion: 99, limit: 2 }, [10, 9]],
  ['bounds beyond any version', { fromVersion: 9, toVersion: Number.MAX_SAFE_INTEGER }, [9, 10]],
  ['as many as the limit', { limit: 3 }, [1, 2, 3]],
  ['as many as the limit, backwards', { limit: 3, direction: 'backwards' }, [10, 9, 8]],
  ['as many as the limit, from a version', { limit: 2, fromVersion: 5 }, [5, 6]],
  ['up to a time, which is included', { untilMs: 4 * 60_000 }, [1, 2, 3, 4, 7]],
  ['up to just before a time', { untilMs: 4 * 60_000 - 1 }, [1, 2, 3, 7]],
  ['up to a time backwards, as many as the limit', { untilMs: 5 * 60_000, direction: 'backwards', limit: 3 }, [7, 5, 4]],
  ['up to a time from a version', { untilMs: 9 * 60_000, fromVersion: 6 }, [6, 7, 8, 9]],
  ['up to a time before its beginning', { untilMs: 0 }, []],
]

const table = cases.map(([what, range, versions]): [string, BehaviourGroup['behaviours'][string]] => [
  `reads ${what}`,
  async ({ driver }) => {
    await furnish(driver)
    const read = await driver.readStream({ stream: 'order:1', direction: 'forwards', limit: 100, ...range })
    assert.deepEqual(
      read.map(({ version }) => version),
      versions,
    )
    assert.ok(read.every(({ stream }) => stream === 'order:1'))
  },
])

export const readStream: BehaviourGroup = {
  group: 'read a stream',
  behaviours: {
    ...Object.fromEntries(table),

    async 'an unknown stream has no events'({ driver }) {
      await furnish(driver)
      for (const stream of ['order:2', 'order:', 'order', 'ORDER:1', 'order:1 ', 'order:_', 'order:%'])
        for (const direction of ['forwards', 'backwards'] as const)
          assert.deepEqual(await driver.readStream({ stream, direction, limit: 10 }), [], stream)
    },

    async 'an event comes back with everything that was said about it'({ driver, reopen }) {
      const full = event({
        type: 'OrderPlaced',
        source: 'https://shop.example/orders',
        schemaVersion: 3,
        timeMs: 1_234_567_890_123,
        correlationId: 'correlation',
        causationId: 'causation',
        data: '{"total":12.5,"lines":[{"sku":"a"}]}',
        metadata: '{"user":"u-1","trace":{"depth":2}}',
        tags: ['order:1', 'customer:7'],
      })
      const bare = event({ data: 'null' })
      await mustCommit(driver, appending('order:1', 'any', [full, bare]))
      for (const reader of [driver, await reopen()]) {
        const read = await reader.readStream({ stream: 'order:1', direction: 'forwards', limit: 10 })
        assertRecorded(read, [
          recorded(full, { stream: 'order:1', version: 1, position: 1 }),
          recorded(bare, { stream: 'order:1', version: 2, position: 2 }),
        ])
        assert.ok(read[0]!.time instanceof Date)
        assert.deepEqual({ ...read[1]!.metadata }, {})
      }
    },

    async 'correlation and causation come back, whether or not they are ids that are there already'({ driver }) {
      const others = [
        {},
        { correlationId: 'command', causationId: 'command' },
        { correlationId: 'started', causationId: 'led' },
        { id: 'self-1', correlationId: 'started', causationId: 'self-1' },
        { id: 'self-2', correlationId: 'self-2', causationId: 'led' },
      ]
      const given = others.map((one) => event({ ...one, type: 'Led' }))
      await mustCommit(driver, appending('order:1', 'any', given))
      const expected = given.map((one, index) => recorded(one, { stream: 'order:1', version: index + 1, position: index + 1 }))
      assertRecorded(await driver.readStream({ stream: 'order:1', direction: 'forwards', limit: 10 }), expected)
      assertRecorded(await driver.readLog({ after: 0, limit: 10 }), expected)
      assertRecorded(await driver.readLog({ after: 0, limit: 10, types: ['Led', 'Other'] }), expected)
      assertRecorded(await driver.readLog({ after: 0, limit: 10, query: { items: [{ streams: ['order:1'] }] } }), expected)
      assertRecorded(await driver.findEvents(given), expected)
      const loaded = await driver.loadStream({ stream: 'order:1', snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 10 })
      assertRecorded(loaded.events, expected)
    },
  },
}
