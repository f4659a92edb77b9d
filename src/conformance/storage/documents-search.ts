import assert from 'node:assert/strict'
import type { EncodedFind } from '../../storage/document-port.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { claimed } from './leases.ts'
import { mustCommit, writing } from './write-sets.ts'

const collection = 'articles@1.1'

/** Keys and words. The field is the number of the key. */
const articles: readonly (readonly [string, string | null])[] = [
  ['a1', 'the quick brown fox'],
  ['a2', 'quick quicksilver'],
  ['a3', 'fox and hound'],
  ['a4', 'the foxes of the near or far not'],
  ['a5', 'übermut straße 東京 день'],
  ['a6', '2024 007 1e5 3d x86 a1b2 0x10'],
  ['a7', null],
  ['a8', ''],
  ['a9', 'null true running runs'],
]

async function make(driver: StorageDriver): Promise<void> {
  await driver.documents.create({ id: collection, projection: 'articles', version: 1, indexed: ['number'], searchable: true })
  await driver.documents.index(collection)
  await mustCommit(
    driver,
    writing(...articles.map(([key, words], index) => ({ collection, key, document: `${index}`, fields: [String(index + 1)], words }))),
  )
}

async function keysOf(driver: StorageDriver, words: readonly string[], rest: Partial<EncodedFind> = {}): Promise<readonly string[]> {
  const found = await driver.documents.find(collection, { where: [], words, sort: [], limit: 100, ...rest })
  return found.map(({ key }) => key)
}

const cases: readonly [string, readonly string[], readonly string[]][] = [
  ['a whole word', ['brown'], ['a1']],
  ['the beginning of a word', ['qui'], ['a1', 'a2']],
  ['one letter', ['f'], ['a1', 'a3', 'a4']],
  ['no word in its middle or at its end', ['uick'], []],
  ['no word that is longer than what is there', ['foxesque'], []],
  ['all of several words, in any order', ['hound', 'fox'], ['a3']],
  ['all of several beginnings', ['th', 'fo'], ['a1', 'a4']],
  ['a word that two of the words begin with', ['quick', 'quicks'], ['a2']],
  ['nothing when one word is missing', ['quick', 'hound'], []],
  ['words that languages leave out elsewhere', ['the', 'of'], ['a4']],
  ['words that mean something to search engines', ['and'], ['a3']],
  ['words that mean something to search engines, together', ['not', 'or', 'near'], ['a4']],
  ['words as they are, without regard to their stems', ['running'], ['a9']],
  ['nothing by a longer form of a word', ['runner'], []],
  ['a value of the database as a word', ['null', 'true'], ['a9']],
  ['words with letters beyond ASCII', ['überm'], ['a5']],
  ['words of other scripts', ['東', 'ден'], ['a5']],
  ['numbers by their beginning', ['20'], ['a6']],
  ['numbers as they are written', ['007'], ['a6']],
  ['no number by its value', ['7'], []],
  ['words of letters and digits', ['1e', '3d', 'x8', 'a1b', '0x'], ['a6']],
  ['everything where no word is asked for', [], articles.map(([key]) => key)],
]

const table = cases.map(([what, words, keys]): [string, BehaviourGroup['behaviours'][string]] => [
  `finds ${what}`,
  async ({ driver }) => {
    await make(driver)
    assert.deepEqual(await keysOf(driver, words), keys)
  },
])

export const documentsSearch: BehaviourGroup = {
  group: 'documents: search',
  behaviours: {
    ...Object.fromEntries(table),

    async 'words go together with conditions, order, limit and pages'({ driver }) {
      await make(driver)
      const sort = [{ field: 0, descending: true }]
      assert.deepEqual(await keysOf(driver, ['fo'], { sort }), ['a4', 'a3', 'a1'])
      assert.deepEqual(await keysOf(driver, ['fo'], { sort, limit: 2 }), ['a4', 'a3'])
      assert.deepEqual(await keysOf(driver, ['fo'], { sort, after: { sortValues: ['4'], key: 'a4' } }), ['a3', 'a1'])
      assert.deepEqual(await keysOf(driver, ['fo'], { where: [{ field: 0, in: ['1', '2', '3'] }] }), ['a1', 'a3'])
      assert.deepEqual(await keysOf(driver, ['fo'], { where: [{ field: 0, from: '3' }], limit: 1 }), ['a3'])
    },

    async 'documents from before and after indexing are found'({ driver }) {
      await driver.documents.create({ id: collection, projection: 'articles', version: 1, indexed: [], searchable: true })
      const write = (key: string, words: string): Promise<unknown> =>
        mustCommit(driver, writing({ collection, key, document: '1', fields: [], words }))
      await write('a', 'early bird')
      await write('b', 'early fish')
      const { epoch } = await claimed(driver, 'p', 'me', { startAt: 0 })
      const load = (key: string): Promise<boolean> =>
        driver.documents.load({
          collection,
          documents: [{ key, document: '1', fields: [], words: 'early load' }],
          replaced: [],
          checkpoint: { processor: 'p', epoch, position: 0 },
        })
      await load('c')
      await driver.documents.index(collection)
      await write('d', 'early worm')
      await write('b', 'late fish')
      await load('e')
      await driver.documents.index(collection)
      assert.deepEqual(await keysOf(driver, ['early']), ['a', 'c', 'd', 'e'])
      assert.deepEqual(await keysOf(driver, ['fish']), ['b'])
      await mustCommit(driver, writing({ collection, key: 'c', document: null, fields: [], words: null }))
      assert.deepEqual(await keysOf(driver, ['load']), ['e'])
    },

    async 'what is found is of the collection that was asked'({ driver }) {
      await make(driver)
      await driver.documents.create({ id: 'other@1.1', projection: 'other', version: 1, indexed: [], searchable: true })
      await driver.documents.index('other@1.1')
      await mustCommit(driver, writing({ collection: 'other@1.1', key: 'o1', document: '1', fields: [], words: 'fox' }))
      assert.deepEqual(await keysOf(driver, ['fox']), ['a1', 'a3', 'a4'])
      const found = await driver.documents.find('other@1.1', { where: [], words: ['fo'], sort: [], limit: 10 })
      assert.deepEqual(
        found.map(({ key }) => key),
        ['o1'],
      )
    },
  },
}
