import assert from 'node:assert/strict'
import type { EncodedFind, FoundDocument } from '../../storage/document-port.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import type { StoredDocument } from './find-model.ts'
import { findIn } from './find-model.ts'
import { compareBytes } from './names.ts'
import { Random } from './random.ts'
import { mustCommit, writing } from './write-sets.ts'

const collection = 'people@1.1'

async function make(driver: StorageDriver, documents: readonly StoredDocument[], indexed: readonly string[]): Promise<void> {
  await driver.documents.create({ id: collection, projection: 'people', version: 1, indexed, searchable: true })
  await mustCommit(driver, writing(...documents.map((document) => ({ collection, ...document }))))
  await driver.documents.index(collection)
}

/** Keys, with their fields: name, city, age. */
const people: readonly StoredDocument[] = [
  ['p1', 'ada', 'london', '36'],
  ['p2', 'ben', 'paris', '20'],
  ['p3', 'cyd', 'london', '20'],
  ['p4', 'dot', 'rome', '36'],
  ['p5', 'eve', 'paris', '36'],
  ['p6', 'ada', 'rome', '41'],
].map(([key, ...fields]) => ({ key: key!, document: JSON.stringify(fields), fields, words: fields[0]! }))

async function keysOf(driver: StorageDriver, find: Partial<EncodedFind>): Promise<readonly string[]> {
  const found = await driver.documents.find(collection, { where: [], sort: [], limit: 100, ...find })
  return found.map(({ key }) => key)
}

const [name, city, age] = [0, 1, 2] as const
const cases: readonly [string, Partial<EncodedFind>, readonly string[]][] = [
  ['everything, by key', {}, ['p1', 'p2', 'p3', 'p4', 'p5', 'p6']],
  ['as many as the limit', { limit: 2 }, ['p1', 'p2']],
  ['a value', { where: [{ field: city, in: ['paris'] }] }, ['p2', 'p5']],
  ['one of several values', { where: [{ field: city, in: ['rome', 'london', 'oslo'] }] }, ['p1', 'p3', 'p4', 'p6']],
  ['an unknown value', { where: [{ field: city, in: ['pari'] }] }, []],
  ['a value out of none', { where: [{ field: city, in: [] }] }, []],
  ['from a value, which is included', { where: [{ field: name, from: 'cyd' }] }, ['p3', 'p4', 'p5']],
  ['below a value, which is not', { where: [{ field: name, below: 'cyd' }] }, ['p1', 'p2', 'p6']],
  ['between two values', { where: [{ field: name, from: 'b', below: 'e' }] }, ['p2', 'p3', 'p4']],
  ['nothing between equal bounds', { where: [{ field: name, from: 'cyd', below: 'cyd' }] }, []],
  ['everything in a range without bounds', { where: [{ field: name }] }, ['p1', 'p2', 'p3', 'p4', 'p5', 'p6']],
  [
    'two conditions on different fields',
    {
      where: [
        { field: city, in: ['london', 'rome'] },
        { field: age, in: ['36'] },
      ],
    },
    ['p1', 'p4'],
  ],
  [
    'two conditions on one field',
    {
      where: [
        { field: name, from: 'b' },
        { field: name, in: ['ada', 'ben', 'eve'] },
      ],
    },
    ['p2', 'p5'],
  ],
  ['by a field', { sort: [{ field: city, descending: false }] }, ['p1', 'p3', 'p2', 'p5', 'p4', 'p6']],
  ['by a field downwards, equal ones by key upwards', { sort: [{ field: city, descending: true }] }, ['p4', 'p6', 'p2', 'p5', 'p1', 'p3']],
  [
    'by two fields',
    {
      sort: [
        { field: age, descending: false },
        { field: city, descending: false },
      ],
    },
    ['p3', 'p2', 'p1', 'p5', 'p4', 'p6'],
  ],
  [
    'by two fields in opposite directions',
    {
      sort: [
        { field: age, descending: true },
        { field: name, descending: false },
      ],
    },
    ['p6', 'p1', 'p4', 'p5', 'p2', 'p3'],
  ],
  [
    'by a field that is also a condition, up to the limit',
    { where: [{ field: age, from: '30' }], sort: [{ field: name, descending: true }], limit: 3 },
    ['p5', 'p4', 'p1'],
  ],
  ['behind a key', { after: { sortValues: [], key: 'p4' } }, ['p5', 'p6']],
  ['behind a key that is not there', { after: { sortValues: [], key: 'p35' } }, ['p4', 'p5', 'p6']],
  [
    'behind a place in an order',
    { sort: [{ field: city, descending: false }], after: { sortValues: ['paris'], key: 'p2' } },
    ['p5', 'p4', 'p6'],
  ],
  [
    'behind a place in a downward order',
    { sort: [{ field: city, descending: true }], after: { sortValues: ['paris'], key: 'p2' } },
    ['p5', 'p1', 'p3'],
  ],
]

const table = cases.map(([what, find, keys]): [string, BehaviourGroup['behaviours'][string]] => [
  `finds ${what}`,
  async ({ driver }) => {
    await make(driver, people, ['name', 'city', 'age'])
    assert.deepEqual(await keysOf(driver, find), keys)
  },
])

export const documentsFind: BehaviourGroup = {
  group: 'documents: find',
  behaviours: {
    ...Object.fromEntries(table),

    async 'a found document comes with its text and the values it was sorted by'({ driver }) {
      await make(driver, people, ['name', 'city', 'age'])
      const sort = [
        { field: age, descending: true },
        { field: name, descending: false },
      ]
      const found: readonly FoundDocument[] = await driver.documents.find(collection, { where: [], sort, limit: 2 })
      assert.deepEqual(
        found.map(({ key, document, sortValues }) => ({ key, document, sortValues: [...sortValues] })),
        [
          { key: 'p6', document: '["ada","rome","41"]', sortValues: ['41', 'ada'] },
          { key: 'p1', document: '["ada","london","36"]', sortValues: ['36', 'ada'] },
        ],
      )
      const [plain] = await driver.documents.find(collection, { where: [], sort: [], limit: 1 })
      assert.deepEqual([plain?.key, plain?.document, [...plain!.sortValues]], ['p1', '["ada","london","36"]', []])
    },

    async 'values and keys are in the order of their bytes'({ driver }) {
      const values = [
        '',
        ' ',
        '!',
        '0',
        '10',
        '9',
        'A',
        'Z',
        '_',
        'a',
        'aa',
        'a!',
        'a b',
        'ab',
        'b',
        'z',
        'ß',
        'é',
        'e\u0301',
        '\uff5e',
        '\u{10000}',
      ]
      const documents = values.map((value) => ({ key: `k${value}`, document: '1', fields: [value], words: null }))
      await make(driver, documents, ['value'])
      const sorted = values.toSorted(compareBytes)
      const keys = sorted.map((value) => `k${value}`)
      assert.deepEqual(await keysOf(driver, {}), keys)
      assert.deepEqual(await keysOf(driver, { sort: [{ field: 0, descending: false }] }), keys)
      assert.deepEqual(await keysOf(driver, { sort: [{ field: 0, descending: true }] }), keys.toReversed())
      for (const [index, value] of sorted.entries()) {
        assert.deepEqual(await keysOf(driver, { where: [{ field: 0, from: value }] }), keys.slice(index))
        assert.deepEqual(await keysOf(driver, { where: [{ field: 0, below: value }] }), keys.slice(0, index))
        assert.deepEqual(await keysOf(driver, { after: { sortValues: [], key: `k${value}` } }), keys.slice(index + 1))
      }
    },

    async 'a collection without indexed fields can be listed'({ driver }) {
      await make(
        driver,
        people.map((person) => ({ ...person, fields: [] })),
        [],
      )
      assert.deepEqual(await keysOf(driver, { after: { sortValues: [], key: 'p2' }, limit: 2 }), ['p3', 'p4'])
    },

    async 'many indexed fields are kept apart'({ driver }) {
      const indexed = Array.from({ length: 12 }, (_, index) => `field "${index}"'`)
      const documents = Array.from({ length: 12 }, (_, at) => ({
        key: `k${at}`,
        document: '1',
        fields: indexed.map((_name, index) => String((at * index) % 12)),
        words: null,
      }))
      await make(driver, documents, indexed)
      for (let field = 0; field < 12; field++)
        for (const value of ['0', '1', '5']) {
          const find: EncodedFind = { where: [{ field, in: [value] }], sort: [{ field: 11 - field, descending: true }], limit: 20 }
          assert.deepEqual(
            await keysOf(driver, find),
            findIn(documents, find).map(({ key }) => key),
          )
        }
    },

    async 'finding works before the collection is indexed'({ driver }) {
      await driver.documents.create({
        id: collection,
        projection: 'people',
        version: 1,
        indexed: ['name', 'city', 'age'],
        searchable: true,
      })
      await mustCommit(driver, writing(...people.map((document) => ({ collection, ...document }))))
      assert.deepEqual(await keysOf(driver, { where: [{ field: age, in: ['36'] }], sort: [{ field: name, descending: true }] }), [
        'p5',
        'p4',
        'p1',
      ])
    },

    async 'pages of data made at random have neither gaps nor repetitions, whatever the order'({ driver }) {
      const random = new Random(3)
      const values = ['', '0', '1', '10', 'a', 'A', 'b', 'é', '\u{1f600}', '~']
      const documents: StoredDocument[] = Array.from({ length: 150 }, (_, index) => ({
        key: `${random.pick(values)}${index % 2 ? '' : '-'}${index}`,
        document: `{"n":${index}}`,
        fields: [random.pick(values), random.pick(values.slice(0, 3)), random.pick(values.slice(0, 5))],
        words: `${random.pick(['red', 'green', 'blue'])} ${random.pick(['apple', 'apricot', 'banana'])}`,
      }))
      await make(driver, documents, ['a', 'b', 'c'])
      for (let round = 0; round < 30; round++) {
        const fields = [0, 1, 2].filter(() => random.below(3) > 0)
        if (random.below(2)) fields.reverse()
        const find: Omit<EncodedFind, 'limit'> = {
          where: [
            ...(random.below(3) === 0 ? [{ field: random.below(3), in: random.some(values) }] : []),
            ...(random.below(3) === 0 ? [{ field: random.below(3), from: random.pick(values) }] : []),
            ...(random.below(3) === 0 ? [{ field: random.below(3), below: random.pick(values) }] : []),
          ],
          ...(random.below(3) === 0 && { words: [random.pick(['r', 'gre', 'blue', 'ap', 'appl'])] }),
          sort: fields.map((field) => ({ field, descending: random.below(2) === 0 })),
        }
        const limit = 1 + random.below(40)
        const paged: FoundDocument[] = []
        for (;;) {
          const last = paged.at(-1)
          const after = last && { sortValues: last.sortValues, key: last.key }
          const page = await driver.documents.find(collection, { ...find, limit, ...(after && { after }) })
          paged.push(...page)
          if (page.length < limit) break
        }
        assert.deepEqual(
          paged.map(({ key, document, sortValues }) => ({ key, document, sortValues: [...sortValues] })),
          findIn(documents, { ...find, limit: documents.length }),
          JSON.stringify({ ...find, limit }),
        )
      }
    },
  },
}
