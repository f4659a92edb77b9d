import assert from 'node:assert/strict'
import type { LogFilter, StorageDriver } from '../../storage/port.ts'
import { categoryOf } from '../../storage/stream-name.ts'
import type { EventQueryItem } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { passes } from './matching.ts'
import { awkwardNames } from './names.ts'
import { Random } from './random.ts'
import { wholeLog } from './recorded.ts'
import { append, event, mustCommit } from './write-sets.ts'

/** Positions 1 to 6. */
async function furnish(driver: StorageDriver): Promise<void> {
  const rows: readonly [string, string, string, readonly string[]][] = [
    ['order:1', 'Placed', 'c1', ['customer:1', 'vip']],
    ['order:2', 'Placed', 'c2', ['customer:2']],
    ['invoice:1', 'Sent', 'c1', ['customer:1', 'order:1']],
    ['order:1', 'Shipped', 'c1', ['customer:1']],
    ['orders:1', 'Placed', 'c3', []],
    ['order', 'Archived', 'c4', ['vip', 'customer:1']],
  ]
  await mustCommit(driver, {
    appends: rows.map(([stream, type, correlationId, tags]) => append(stream, 'any', [event({ type, correlationId, tags })])),
  })
}

async function positionsOf(driver: StorageDriver, filter: LogFilter): Promise<readonly number[]> {
  return (await driver.readLog({ after: 0, limit: 1_000, ...filter })).map(({ position }) => position)
}

const query = (...items: readonly EventQueryItem[]): LogFilter => ({ query: { items } })

const cases: readonly [string, LogFilter, readonly number[]][] = [
  ['a type', { types: ['Placed'] }, [1, 2, 5]],
  ['one of several types', { types: ['Sent', 'Shipped', 'Unknown'] }, [3, 4]],
  ['an unknown type', { types: ['placed'] }, []],
  ['a type out of none', { types: [] }, []],
  ['a category', { categories: ['order'] }, [1, 2, 4, 6]],
  ['one of several categories', { categories: ['invoice', 'orders'] }, [3, 5]],
  ['a category that is only the beginning of others', { categories: ['ord'] }, []],
  ['a category written otherwise', { categories: ['Order', 'order:1', 'order:'] }, []],
  ['a correlation id', { correlationId: 'c1' }, [1, 3, 4]],
  ['an unknown correlation id', { correlationId: 'c' }, []],
  ['a type and a category', { types: ['Placed'], categories: ['order'] }, [1, 2]],
  ['a type and a correlation id', { types: ['Placed', 'Sent'], correlationId: 'c1' }, [1, 3]],
  ['a category and a correlation id', { categories: ['order'], correlationId: 'c1' }, [1, 4]],
  ['all three', { types: ['Shipped'], categories: ['order'], correlationId: 'c1' }, [4]],
  ['all three that no event has', { types: ['Shipped'], categories: ['invoice'], correlationId: 'c1' }, []],
  ['a query for a tag', query({ tags: ['customer:1'] }), [1, 3, 4, 6]],
  ['a query for two tags, in any order', query({ tags: ['vip', 'customer:1'] }), [1, 6]],
  ['a query for two tags that no event has together', query({ tags: ['customer:1', 'customer:2'] }), []],
  ['a query for a tag that is only the beginning of others', query({ tags: ['customer:'] }), []],
  ['a query for no tag', query({ tags: [] }), [1, 2, 3, 4, 5, 6]],
  ['a query for a stream', query({ streams: ['order:1'] }), [1, 4]],
  ['a query for one of several streams', query({ streams: ['order:2', 'orders:1', 'order:9'] }), [2, 5]],
  ['a query for a type', query({ types: ['Placed'] }), [1, 2, 5]],
  ['a query for a type with a tag', query({ types: ['Placed'], tags: ['vip'] }), [1]],
  ['a query for a type in a stream with a tag', query({ types: ['Shipped'], streams: ['order:1'], tags: ['customer:1'] }), [4]],
  ['a query of two items', query({ types: ['Sent'] }, { tags: ['vip'] }), [1, 3, 6]],
  ['a query of two items that match the same event', query({ types: ['Sent'] }, { tags: ['order:1'] }), [3]],
  ['a query of an item that names nothing', query({}), [1, 2, 3, 4, 5, 6]],
  ['a query without items', query(), []],
  ['a query and a type', { types: ['Placed'], ...query({ tags: ['customer:1'] }, { tags: ['customer:2'] }) }, [1, 2]],
  ['a query, a category and a correlation id', { categories: ['order'], correlationId: 'c1', ...query({ tags: ['customer:1'] }) }, [1, 4]],
]

const table = cases.map(([what, filter, positions]): [string, BehaviourGroup['behaviours'][string]] => [
  `selects ${what}`,
  async ({ driver }) => {
    await furnish(driver)
    assert.deepEqual(await positionsOf(driver, filter), positions)
  },
])

export const filters: BehaviourGroup = {
  group: 'filter the log',
  behaviours: {
    ...Object.fromEntries(table),

    async 'bounds and limit apply to what passes the filter'({ driver }) {
      await furnish(driver)
      const read = async (range: { after: number; upTo?: number; limit: number }): Promise<readonly number[]> =>
        (await driver.readLog({ ...range, types: ['Placed'] })).map(({ position }) => position)
      assert.deepEqual(await read({ after: 0, limit: 2 }), [1, 2])
      assert.deepEqual(await read({ after: 1, limit: 2 }), [2, 5])
      assert.deepEqual(await read({ after: 1, upTo: 4, limit: 2 }), [2])
      assert.deepEqual(await read({ after: 5, limit: 2 }), [])
    },

    async 'names are compared exactly, whatever they look like'({ driver }) {
      const all = awkwardNames.map((name) => append(`${name}:x`, 'any', [event({ type: name, correlationId: name, tags: ['x', name] })]))
      await mustCommit(driver, { appends: all })
      for (const [index, name] of awkwardNames.entries()) {
        const position = [index + 1]
        assert.deepEqual(await positionsOf(driver, { types: [name] }), position, `type ${name}`)
        assert.deepEqual(await positionsOf(driver, { correlationId: name }), position, `correlation id ${name}`)
        assert.deepEqual(await positionsOf(driver, query({ tags: [name] })), position, `tag ${name}`)
        assert.deepEqual(await positionsOf(driver, query({ streams: [`${name}:x`] })), position, `stream ${name}:x`)
        const category = categoryOf(`${name}:x`)
        const inCategory = awkwardNames.flatMap((other, at) => (categoryOf(`${other}:x`) === category ? [at + 1] : []))
        assert.deepEqual(await positionsOf(driver, { categories: [category] }), inCategory, `category ${category}`)
      }
    },

    async 'filters made at random select what they say, in pages too'({ driver }) {
      const random = new Random(11)
      const [types, streams, tags, correlations] = [
        ['A', 'B', 'C'],
        ['s:1', 's:2', 't:1', 'u'],
        ['x', 'y', 'z'],
        ['c1', 'c2'],
      ]
      await mustCommit(driver, {
        appends: Array.from({ length: 120 }, () =>
          append(random.pick(streams), 'any', [
            event({ type: random.pick(types), correlationId: random.pick(correlations), tags: random.some(tags) }),
          ]),
        ),
      })
      const log = await wholeLog(driver)
      for (let round = 0; round < 60; round++) {
        const items = Array.from({ length: random.below(3) + 1 }, () => ({
          ...(random.below(2) && { types: [random.pick(types), random.pick(types)] }),
          ...(random.below(2) && { streams: [random.pick(streams), random.pick(streams)] }),
          ...(random.below(2) && { tags: random.some(tags) }),
        }))
        const filter: LogFilter = {
          ...(random.below(2) && { types: [random.pick(types), random.pick(types)] }),
          ...(random.below(2) && { categories: [random.pick(['s', 't', 'u', 'v']), random.pick(['s', 't'])] }),
          ...(random.below(3) === 0 && { correlationId: random.pick(correlations) }),
          ...(random.below(2) && { query: { items } }),
        }
        const [after, upTo, limit] = [random.below(60), 60 + random.below(80), 1 + random.below(30)]
        const expected = log.filter((one) => one.position > after && one.position <= upTo && passes(one, filter)).slice(0, limit)
        assert.deepEqual(
          (await driver.readLog({ after, upTo, limit, ...filter })).map(({ position }) => position),
          expected.map(({ position }) => position),
          JSON.stringify({ after, upTo, limit, ...filter }),
        )
      }
    },
  },
}
