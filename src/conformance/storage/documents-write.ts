import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { DocumentWrite } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames } from './names.ts'
import { collection, makeCollection } from './traces.ts'
import { append, commit, events, mustCommit, writing } from './write-sets.ts'

function document(key: string, state: string, words: string | null = null, of: string = collection): DocumentWrite {
  return { collection: of, key, document: JSON.stringify({ key, state }), fields: [state], words }
}

function removal(key: string): DocumentWrite {
  return { collection, key, document: null, fields: [''], words: null }
}

async function keysIn(driver: StorageDriver, state: string): Promise<readonly string[]> {
  const found = await driver.documents.find(collection, { where: [{ field: 0, in: [state] }], sort: [], limit: 100 })
  return found.map(({ key }) => key)
}

async function keysWith(driver: StorageDriver, word: string): Promise<readonly string[]> {
  const found = await driver.documents.find(collection, { where: [], words: [word], sort: [], limit: 100 })
  return found.map(({ key }) => key)
}

export const documentsWrite: BehaviourGroup = {
  group: 'documents: write',
  behaviours: {
    async 'a document is there once it is written, for other drivers too'({ driver, reopen }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(document('a', 'open'), document('b', 'open'), document('c', 'paid')))
      for (const through of [driver, await reopen()]) {
        assert.deepEqual(
          await through.documents.get(collection, ['c', 'a', 'unknown']),
          new Map([
            ['a', '{"key":"a","state":"open"}'],
            ['c', '{"key":"c","state":"paid"}'],
          ]),
        )
        assert.deepEqual(await keysIn(through, 'open'), ['a', 'b'])
        assert.equal(await through.documents.count(collection), 3)
      }
    },

    async 'writing it again replaces it, with its fields and words'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(document('a', 'open', 'red apple'), document('b', 'open', 'red plum')))
      await mustCommit(driver, writing(document('a', 'paid', 'green apple')))
      assert.equal((await driver.documents.get(collection, ['a'])).get('a'), '{"key":"a","state":"paid"}')
      assert.deepEqual([await keysIn(driver, 'open'), await keysIn(driver, 'paid')], [['b'], ['a']])
      assert.deepEqual(
        [await keysWith(driver, 'red'), await keysWith(driver, 'green'), await keysWith(driver, 'apple')],
        [['b'], ['a'], ['a']],
      )
      assert.equal(await driver.documents.count(collection), 2)
      await mustCommit(driver, writing(document('a', 'paid', null)))
      assert.deepEqual(await keysWith(driver, 'apple'), [])
    },

    async 'removing it removes its fields and words too'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(document('a', 'open', 'red apple'), document('b', 'open', 'red plum')))
      await mustCommit(driver, writing(removal('a')))
      assert.equal((await driver.documents.get(collection, ['a', 'b'])).size, 1)
      assert.deepEqual([await keysIn(driver, 'open'), await keysWith(driver, 'red'), await keysWith(driver, 'apple')], [['b'], ['b'], []])
      assert.equal(await driver.documents.count(collection), 1)
    },

    async 'removing what is not there does nothing, and what was removed can be written again'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(removal('a')))
      await mustCommit(driver, writing(document('a', 'open', 'apple')))
      await mustCommit(driver, writing(removal('a')))
      await mustCommit(driver, writing(removal('a')))
      await mustCommit(driver, writing(document('a', 'again', 'pear')))
      assert.deepEqual([await keysIn(driver, 'again'), await keysWith(driver, 'pear'), await keysWith(driver, 'apple')], [['a'], ['a'], []])
    },

    async 'one set writes, replaces and removes in several collections'({ driver }) {
      await makeCollection(driver)
      await makeCollection(driver, 'other@1.1')
      await mustCommit(driver, writing(document('a', 'open'), document('b', 'open'), document('a', 'open', null, 'other@1.1')))
      const documents = [removal('a'), document('b', 'paid'), document('c', 'open'), document('b', 'open', null, 'other@1.1')]
      await mustCommit(driver, { appends: [append('order:1', 'any', events(2))], documents })
      assert.deepEqual([...(await driver.documents.get(collection, ['a', 'b', 'c'])).keys()].toSorted(), ['b', 'c'])
      assert.deepEqual([...(await driver.documents.get('other@1.1', ['a', 'b', 'c'])).keys()].toSorted(), ['a', 'b'])
      assert.deepEqual(await keysIn(driver, 'paid'), ['b'])
      assert.equal((await driver.log()).head, 2)
    },

    async 'the sets of one call write their documents each by itself'({ driver }) {
      await makeCollection(driver)
      const sets = Array.from({ length: 20 }, (_, index) => ({
        appends: index % 4 === 3 ? [append(`order:${index}`, 'stream-exists')] : [],
        documents: [document(`k${index}`, 'open'), document(`l${index}`, 'open')],
      }))
      await driver.commit(sets)
      const expected = sets.flatMap((_, index) => (index % 4 === 3 ? [] : [`k${index}`, `l${index}`]))
      assert.deepEqual(await keysIn(driver, 'open'), expected.toSorted())
    },

    async 'of a refused set no document is written or removed'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(document('a', 'open', 'apple')))
      const documents = [removal('a'), document('b', 'open', 'pear')]
      assert.equal((await commit(driver, { appends: [append('order:1', 1)], documents })).status, 'version-conflict')
      assert.deepEqual([await keysIn(driver, 'open'), await keysWith(driver, 'apple'), await keysWith(driver, 'pear')], [['a'], ['a'], []])
    },

    async 'many documents are written and got at once'({ driver }) {
      await makeCollection(driver)
      const keys = Array.from({ length: 5_000 }, (_, index) => `key-${index}`)
      await mustCommit(driver, writing(...keys.map((key) => document(key, 'open', `word${key.slice(4)}`))))
      const got = await driver.documents.get(collection, keys)
      assert.equal(got.size, keys.length)
      for (const key of keys) assert.equal(got.get(key), JSON.stringify({ key, state: 'open' }))
      assert.equal(await driver.documents.count(collection), keys.length)
      await mustCommit(driver, writing(...keys.slice(1_000).map(removal)))
      assert.equal(await driver.documents.count(collection), 1_000)
    },

    async 'getting no keys, one key twice, or unknown keys, gives what there is'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(document('a', 'open')))
      assert.equal((await driver.documents.get(collection, [])).size, 0)
      assert.equal((await driver.documents.get(collection, ['a', 'a', 'b'])).size, 1)
      assert.equal((await driver.documents.get(collection, ['A', 'a ', '%'])).size, 0)
    },

    async 'keys and fields are compared exactly, whatever they look like'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, writing(...awkwardNames.map((name) => document(name, name))))
      assert.equal(await driver.documents.count(collection), awkwardNames.length)
      const got = await driver.documents.get(collection, awkwardNames)
      for (const name of awkwardNames) {
        assert.equal(got.get(name), JSON.stringify({ key: name, state: name }))
        assert.deepEqual(await keysIn(driver, name), [name])
      }
    },

    async 'collections of awkward names are kept apart'({ driver }) {
      const ids = ['it\'s "mine"@1.1', 'IT', 'it', 'a_b', 'a%b', 'a-b', 'a.b', 'drop table', 'summary@2.10', 'summary@2.1', '注文@1.1']
      for (const id of ids) await makeCollection(driver, id)
      await mustCommit(driver, writing(...ids.map((id, index) => document('k', `s${index}`, `word${index}`, id))))
      for (const [index, id] of ids.entries()) {
        assert.equal((await driver.documents.get(id, ['k'])).get('k'), JSON.stringify({ key: 'k', state: `s${index}` }))
        const find = { where: [], words: [`word${index}`], sort: [], limit: 5 }
        assert.equal((await driver.documents.find(id, find)).length, 1)
        assert.equal(await driver.documents.count(id), 1)
      }
    },
  },
}
