import assert from 'node:assert/strict'
import type { DocumentLoad, LoadedDocument } from '../../storage/document-port.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { CheckpointMove } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { collection } from './traces.ts'
import { mustCommit, writing } from './write-sets.ts'

const processor = 'builder'

async function make(driver: StorageDriver, id: string = collection): Promise<void> {
  await driver.documents.create({ id, projection: 'summary', version: 1, indexed: ['state'], searchable: true })
}

/** The proof that whoever loads owns the processor, which it claims. */
async function owned(driver: StorageDriver, position = 0, owner = 'me'): Promise<CheckpointMove> {
  const claim = await driver.processors.claim({ processor, owner, ttlMs: 60_000, startAt: 0, takesOver: true })
  assert.ok(claim.claimed)
  return { processor, epoch: claim.epoch, position }
}

/** Loads documents as the owner of a processor that it claims. */
export async function mustLoad(driver: StorageDriver, id: string, documents: readonly LoadedDocument[]): Promise<void> {
  assert.equal(await driver.documents.load({ collection: id, documents, replaced: [], checkpoint: await owned(driver) }), true)
}

function document(key: string, words: string | null = null, text: string = JSON.stringify(key)): LoadedDocument {
  return { key, document: text, fields: [`state of ${key}`], words }
}

async function positionOf(driver: StorageDriver): Promise<number> {
  return (await driver.processors.list()).find((info) => info.processor === processor)!.position
}

async function textsOf(driver: StorageDriver): Promise<Readonly<Record<string, string>>> {
  const found = await driver.documents.find(collection, { where: [], sort: [], limit: 100 })
  return Object.fromEntries(found.map(({ key, document: text }) => [key, text]))
}

export const documentsLoad: BehaviourGroup = {
  group: 'documents: load',
  behaviours: {
    async 'documents that are loaded can be got, found, replaced and removed'({ driver }) {
      await make(driver)
      const many = Array.from({ length: 12_000 }, (_, index) => document(`k${index}`, `word${index}`))
      const checkpoint = await owned(driver)
      const load = (documents: readonly LoadedDocument[], position: number): Promise<boolean> =>
        driver.documents.load({ collection, documents, replaced: [], checkpoint: { ...checkpoint, position } })
      for (const [documents, position] of [
        [many.slice(0, 7_000), 10],
        [many.slice(7_000), 20],
        [[], 30],
      ] as const) {
        assert.equal(await load(documents, position), true)
        assert.equal(await positionOf(driver), position)
      }
      await driver.documents.index(collection)
      assert.equal(await driver.documents.count(collection), 12_000)
      assert.equal((await driver.documents.get(collection, ['k0', 'k6999', 'k11999'])).size, 3)
      const find = { where: [{ field: 0, in: ['state of k77'] }], words: ['word77'], sort: [], limit: 5 }
      assert.deepEqual(
        (await driver.documents.find(collection, find)).map(({ key, document: text }) => [key, text]),
        [['k77', '"k77"']],
      )
      await mustCommit(driver, writing({ collection, ...document('k77', 'changed') }))
      assert.equal((await driver.documents.find(collection, find)).length, 0)
      await mustCommit(driver, writing({ collection, key: 'k78', document: null, fields: [''], words: null }))
      assert.equal(await driver.documents.count(collection), 11_999)
    },

    async 'what is replaced goes first, whether it was there or not'({ driver }) {
      await make(driver)
      await driver.documents.index(collection)
      await mustLoad(driver, collection, [document('a', 'apple'), document('b', 'apple'), document('c', 'apple')])
      const documents = [document('a', 'pear', '"newer a"'), document('d', 'pear')]
      const load: DocumentLoad = { collection, documents, replaced: ['a', 'b', 'd', 'absent'], checkpoint: await owned(driver) }
      assert.equal(await driver.documents.load(load), true)
      assert.deepEqual(await textsOf(driver), { a: '"newer a"', c: '"c"', d: '"d"' })
      const keysWith = async (word: string): Promise<readonly string[]> =>
        (await driver.documents.find(collection, { where: [], words: [word], sort: [], limit: 9 })).map(({ key }) => key)
      assert.deepEqual([await keysWith('apple'), await keysWith('pear')], [['c'], ['a', 'd']])
    },

    async 'texts stay as they are'({ driver }) {
      await make(driver)
      const text = '{ "b":1.0, "a": "\\u00e9 \\" \\\\ ä 🦊", "a":[ ] }'
      const awkward = ['{"}', 'a\\b', "it's", 'NULL', '', ' ', ',', '🦊', 'line\nbreak']
      await mustLoad(
        driver,
        collection,
        awkward.map((key) => ({ key, document: text, fields: [key], words: null })),
      )
      const found = await driver.documents.get(collection, awkward)
      assert.deepEqual(found, new Map(awkward.map((key) => [key, text])))
      for (const key of awkward)
        assert.deepEqual(
          (await driver.documents.find(collection, { where: [{ field: 0, in: [key] }], sort: [], limit: 9 })).map((one) => one.key),
          [key],
        )
    },

    async 'whoever does not own the processor any more, or is behind it, changes nothing'({ driver, reopen }) {
      await make(driver)
      const paused = await owned(driver, 5)
      const owner = await owned(await reopen(), 7, 'another')
      const load = (checkpoint: CheckpointMove): Promise<boolean> =>
        driver.documents.load({ collection, documents: [document(`at ${checkpoint.position}`)], replaced: ['at 7'], checkpoint })
      assert.equal(await load(owner), true)
      for (const refused of [
        paused,
        { ...paused, position: 9 },
        { ...owner, position: 6 },
        { ...owner, processor: 'absent', position: 9 },
      ]) {
        assert.equal(await load(refused), false)
        assert.equal(await driver.documents.clear(collection, refused), false)
      }
      assert.deepEqual(await textsOf(driver), { 'at 7': '"at 7"' })
      assert.equal(await positionOf(driver), 7)
    },

    async 'a load that fails leaves nothing, and the checkpoint where it was'({ driver }) {
      await make(driver)
      await mustLoad(driver, collection, [document('a'), document('b')])
      const checkpoint = await owned(driver, 9)
      const documents = [...Array.from({ length: 6_000 }, (_, index) => document(`k${index}`)), document('b')]
      await assert.rejects(driver.documents.load({ collection, documents, replaced: ['a'], checkpoint }))
      await assert.rejects(driver.documents.load({ collection, documents: [document('c'), document('c')], replaced: [], checkpoint }))
      await assert.rejects(driver.documents.load({ collection: 'absent@1.1', documents: [document('c')], replaced: [], checkpoint }))
      assert.deepEqual(await textsOf(driver), { a: '"a"', b: '"b"' })
      assert.equal(await positionOf(driver), 0)
      assert.equal(await driver.documents.load({ collection, documents: [document('c')], replaced: [], checkpoint }), true)
    },

    async 'clearing removes the documents and nothing else'({ driver }) {
      const other = 'summary@2.1'
      for (const id of [collection, other]) {
        await make(driver, id)
        await mustLoad(driver, id, [document('a', 'apple'), document('b', 'pear')])
        await driver.documents.index(id)
      }
      await driver.documents.promote({ collection, processor: 'p' })
      assert.equal(await driver.documents.clear(collection, await owned(driver, 3)), true)
      assert.equal(await positionOf(driver), 3)
      assert.deepEqual([await driver.documents.count(collection), await driver.documents.count(other)], [0, 2])
      const find = { where: [], words: ['apple'], sort: [], limit: 5 }
      assert.equal((await driver.documents.find(collection, find)).length, 0)
      assert.equal((await driver.documents.find(other, find)).length, 1)
      assert.equal((await driver.documents.list()).find(({ id }) => id === collection)!.state, 'live')
      assert.equal(
        await driver.documents.load({ collection, documents: [document('a', 'apple')], replaced: [], checkpoint: await owned(driver, 4) }),
        true,
      )
      assert.equal((await driver.documents.find(collection, find)).length, 1)
    },
  },
}
