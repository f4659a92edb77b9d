import assert from 'node:assert/strict'
import type { CollectionInfo, CollectionSpec } from '../../storage/document-port.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { claimed } from './leases.ts'
import { mustLoad } from './documents-load.ts'
import { commit, mustCommit, writing } from './write-sets.ts'

function spec(build: string, given: Partial<CollectionSpec> = {}): CollectionSpec {
  return {
    id: `summary@${build}`,
    projection: 'summary',
    version: Number(build.split('.')[0]),
    indexed: ['state'],
    searchable: true,
    ...given,
  }
}

async function statesOf(driver: StorageDriver, projection?: string): Promise<Readonly<Record<string, CollectionInfo['state']>>> {
  return Object.fromEntries((await driver.documents.list(projection)).map(({ id, state }) => [id, state]))
}

/** A processor that stands at a position. */
async function standing(driver: StorageDriver, processor: string, position: number): Promise<number> {
  return (await claimed(driver, processor, 'me', { startAt: position })).epoch
}

const document = (key: string, words: string | null = null): { key: string; document: string; fields: string[]; words: string | null } => ({
  key,
  document: JSON.stringify(key),
  fields: [`state of ${key}`],
  words,
})

export const documentsLifecycle: BehaviourGroup = {
  group: 'documents: lifecycle',
  behaviours: {
    async 'a collection that is made is building, and listed as it was described'({ driver, reopen }) {
      assert.deepEqual(await driver.documents.list(), [])
      const specs = [
        spec('1.1'),
        spec('2.1', { indexed: ['b', 'a', "it's"], searchable: false }),
        spec('1.1', { id: 'o@1.1', projection: 'o', indexed: [] }),
      ]
      for (const one of specs) await driver.documents.create(one)
      const list = await (await reopen()).documents.list()
      for (const one of specs) {
        const { changedAtMs, ...info } = list.find(({ id }) => id === one.id)!
        assert.deepEqual(info, { ...one, state: 'building' })
        assert.ok(Math.abs(changedAtMs - Date.now()) < 300_000, `changed at ${changedAtMs}`)
      }
      assert.equal(list.length, 3)
    },

    async 'making or indexing one that is there does nothing'({ driver }) {
      await driver.documents.create(spec('1.1'))
      await mustLoad(driver, 'summary@1.1', [document('a', 'apple')])
      await driver.documents.index('summary@1.1')
      await driver.documents.promote({ collection: 'summary@1.1', processor: 'p' })
      await driver.documents.create(spec('1.1'))
      await driver.documents.index('summary@1.1')
      assert.deepEqual(await statesOf(driver), { 'summary@1.1': 'live' })
      assert.equal((await driver.documents.get('summary@1.1', ['a'])).get('a'), '"a"')
      const find = { where: [], words: ['app'], sort: [], limit: 5 }
      assert.equal((await driver.documents.find('summary@1.1', find)).length, 1)
    },

    async 'drivers that make the same one at the same time both succeed'({ driver, reopen }) {
      const drivers = [driver, await reopen(), await reopen()]
      await Promise.all(drivers.map((through) => through.documents.create(spec('1.1'))))
      await Promise.all(drivers.map((through) => through.documents.index('summary@1.1')))
      assert.deepEqual(await statesOf(driver), { 'summary@1.1': 'building' })
    },

    async 'the list can be asked for one projection'({ driver }) {
      for (const one of [spec('1.1'), spec('1.2'), spec('1.1', { id: 'Summary@1.1', projection: 'Summary' })])
        await driver.documents.create(one)
      assert.deepEqual(Object.keys(await statesOf(driver, 'summary')).toSorted(), ['summary@1.1', 'summary@1.2'])
      assert.deepEqual(await statesOf(driver, 'summar_'), {})
    },

    async 'promoting makes it live and retires the one that was'({ driver }) {
      for (const one of [spec('1.1'), spec('2.1'), spec('3.1'), spec('1.1', { id: 'o@1.1', projection: 'o' })])
        await driver.documents.create(one)
      assert.equal(await driver.documents.promote({ collection: 'o@1.1', processor: 'o' }), true)
      assert.equal(await driver.documents.promote({ collection: 'summary@1.1', processor: 'p1' }), true)
      assert.equal(await driver.documents.promote({ collection: 'summary@2.1', processor: 'p2' }), true)
      assert.deepEqual(await statesOf(driver), {
        'o@1.1': 'live',
        'summary@1.1': 'retired',
        'summary@2.1': 'live',
        'summary@3.1': 'building',
      })
    },

    async 'promoting is refused while it is behind'({ driver }) {
      for (const build of ['1.1', '2.1']) await driver.documents.create(spec(build))
      await standing(driver, 'blue', 10)
      const epoch = await standing(driver, 'green', 9)
      assert.equal(await driver.documents.promote({ collection: 'summary@1.1', processor: 'blue' }), true)
      const promotion = { collection: 'summary@2.1', processor: 'green', notBehind: 'blue' }
      assert.equal(await driver.documents.promote(promotion), false)
      assert.deepEqual(await statesOf(driver), { 'summary@1.1': 'live', 'summary@2.1': 'building' })
      await mustCommit(driver, { appends: [], checkpoint: { processor: 'green', epoch, position: 10 } })
      assert.equal(await driver.documents.promote(promotion), true)
      assert.deepEqual(await statesOf(driver), { 'summary@1.1': 'retired', 'summary@2.1': 'live' })
    },

    async 'nothing is behind a processor that does not exist, and one that does not exist is behind any other'({ driver }) {
      for (const build of ['1.1', '2.1']) await driver.documents.create(spec(build))
      await standing(driver, 'blue', 1)
      assert.equal(await driver.documents.promote({ collection: 'summary@1.1', processor: 'absent', notBehind: 'blue' }), false)
      assert.equal(await driver.documents.promote({ collection: 'summary@1.1', processor: 'blue', notBehind: 'absent' }), true)
    },

    async 'promoting again changes nothing, and a retired one can be promoted back'({ driver }) {
      for (const build of ['1.1', '2.1']) await driver.documents.create(spec(build))
      for (const build of ['1.1', '1.1', '2.1', '1.1'])
        assert.equal(await driver.documents.promote({ collection: `summary@${build}`, processor: 'p' }), true)
      assert.deepEqual(await statesOf(driver), { 'summary@1.1': 'live', 'summary@2.1': 'retired' })
    },

    async 'dropping removes a collection with its documents and its processor, whose owner is fenced off'({ driver }) {
      for (const build of ['1.1', '2.1']) await driver.documents.create(spec(build))
      for (const build of ['1.1', '2.1'])
        await mustCommit(driver, writing(...['a', 'b'].map((key) => ({ collection: `summary@${build}`, ...document(key, 'apple') }))))
      await driver.documents.index('summary@1.1')
      const epoch = await standing(driver, 'p1', 3)
      await standing(driver, 'p2', 3)
      await driver.documents.drop('summary@1.1', 'p1')
      assert.deepEqual(await statesOf(driver), { 'summary@2.1': 'building' })
      assert.deepEqual(
        (await driver.processors.list()).map(({ processor }) => processor),
        ['p2'],
      )
      assert.equal(await driver.documents.count('summary@2.1'), 2)
      const late = { ...writing({ collection: 'summary@1.1', ...document('late') }), checkpoint: { processor: 'p1', epoch, position: 4 } }
      assert.deepEqual(await commit(driver, late), { status: 'fenced', actualEpoch: 0 })

      await driver.documents.create(spec('1.1'))
      await driver.documents.index('summary@1.1')
      assert.equal(await driver.documents.count('summary@1.1'), 0)
      assert.equal((await driver.documents.get('summary@1.1', ['a', 'late'])).size, 0)
      assert.deepEqual(await driver.documents.find('summary@1.1', { where: [], words: ['apple'], sort: [], limit: 10 }), [])
    },

    async 'dropping what is not there does nothing'({ driver }) {
      await driver.documents.create(spec('1.1'))
      await driver.documents.drop('summary@9.9', 'absent')
      assert.deepEqual(await statesOf(driver), { 'summary@1.1': 'building' })
    },
  },
}
