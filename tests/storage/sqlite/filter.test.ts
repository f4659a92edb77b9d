import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Connection } from '../../../src/storage/sqlite/connection.ts'
import { selectFiltered } from '../../../src/storage/sqlite/filter.ts'
import { migrateOnce } from '../../../src/storage/sqlite/schema.ts'
import { Committer } from '../../../src/storage/sqlite/commit.ts'
import type { LogFilter } from '../../../src/storage/port.ts'
import { open, temporaryFile } from './support.ts'
import { appending, event } from './write-sets.ts'

const types = ['A', 'B', 'C']
const streams = ['order', 'order:1', 'order:2', 'order-line:1', 'orders:1', 'cart:1']
const tags = ['x', 'y', 'z']

const items = fc.record(
  { types: fc.subarray(types), streams: fc.subarray(streams), tags: fc.subarray(tags, { minLength: 1 }) },
  { requiredKeys: [] },
)
const filters: fc.Arbitrary<LogFilter> = fc.record(
  {
    types: fc.subarray([...types, 'never']),
    categories: fc.subarray(['order', 'order-line', 'cart', 'order:1']),
    correlationId: fc.constantFrom('c-1', 'c-2', 'never'),
    query: fc.record({ items: fc.array(items, { maxLength: 3 }) }),
  },
  { requiredKeys: [] },
)
// Those that a correlation id, types or tags leave to the index of streams are rare among all the others.
const byStreams: fc.Arbitrary<LogFilter> = fc.record({
  query: fc.record({ items: fc.array(fc.record({ streams: fc.subarray(streams, { minLength: 1 }) }), { minLength: 1, maxLength: 2 }) }),
})
const anyFilter = fc.oneof(filters, byStreams)

describe('a filter', () => {
  test('finds by its indexes what it finds by walking', () => {
    const connection = store()
    const head = 2_000
    const sets = Array.from({ length: head }, (_, index) => ({
      appends: [
        {
          stream: streams[index % streams.length]!,
          expectedVersion: 'any' as const,
          events: [
            event(`e-${index}`, {
              type: types[(index * 7) % 3]!,
              correlationId: `c-${index % 5}`,
              tags: tags.filter((_tag, bit) => (index >> bit) & 1),
            }),
          ],
        },
      ],
    }))
    new Committer(connection).commit(sets)
    const find = (filter: LogFilter, walk: boolean, after: number, upTo: number, limit: number) => {
      const { text, values } = selectFiltered('e.position', filter, walk)
      return connection
        .cached<readonly [number]>(text)
        .all(after, upTo, limit, ...values)
        .flat()
    }
    fc.assert(
      fc.property(anyFilter, fc.nat(head), fc.nat(head), fc.integer({ min: 1, max: 300 }), (filter, after, upTo, limit) => {
        expect(find(filter, false, after, upTo, limit)).toEqual(find(filter, true, after, upTo, limit))
      }),
      { numRuns: 300 },
    )
  })

  test('of a stream looks only at the versions behind the first position', () => {
    const { text, values } = selectFiltered('e.position', { query: { items: [{ streams: ['order:1'], types }] } }, false)
    const plan = store().query<{ detail: string }>(`EXPLAIN QUERY PLAN ${text}`, [0, 1, 1, ...values])
    expect(plan.map(({ detail }) => detail)).toContainEqual(expect.stringContaining('(stream=? AND version>?)'))
  })

  test.for<[string, LogFilter]>([
    ['of types', { types }],
    ['of tags', { query: { items: [{ tags: ['x', 'y'] }, { tags: ['z'], types: ['A'] }] } }],
    ['of a correlation id', { correlationId: 'c-1' }],
    ['of types and tags', { query: { items: [{ types: ['A'] }, { tags: ['z'] }] } }],
  ])('%s takes its rows from indexes in log order: nothing is collected and sorted', ([, filter]) => {
    const connection = store()
    const { text, values } = selectFiltered('e.position', filter, false)
    const plan = connection.query<{ detail: string }>(`EXPLAIN QUERY PLAN ${text}`, [0, 1, 1, ...values]).map(({ detail }) => detail)
    expect(plan.filter((detail) => detail.includes('TEMP B-TREE') || detail.startsWith('SCAN headwater'))).toEqual([])
  })

  test('that rarely matches is followed through a long log', async () => {
    const driver = await open(await temporaryFile())
    const rare = new Set([1, 40_000, 49_999, 50_000, 50_001, 120_000])
    for (let first = 1; first <= 120_000; first += 2_000) {
      const positions = Array.from({ length: 2_000 }, (_, index) => first + index)
      await driver.commit(positions.map((position) => appending(rare.has(position) ? 'rare:1' : 'order:1', [`e-${position}`])))
    }
    const find = async (filter: Parameters<typeof driver.readLog>[0]) => (await driver.readLog(filter)).map(({ position }) => position)
    expect(await find({ after: 0, limit: 100, categories: ['rare'] })).toEqual([...rare])
    expect(await find({ after: 1, limit: 2, categories: ['rare'] })).toEqual([40_000, 49_999])
    expect(await find({ after: 49_999, upTo: 119_999, limit: 100, categories: ['rare'], types: ['Happened'] })).toEqual([50_000, 50_001])
    expect(await find({ after: 0, limit: 100, query: { items: [{ streams: ['rare:1'] }] } })).toEqual([...rare])
  })
})

function store(): Connection {
  const connection = new Connection(':memory:')
  migrateOnce(connection)
  return connection
}
