import assert from 'node:assert/strict'
import type { Receipt } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames } from './names.ts'
import { append, appending, commit, companies, events, mustCommit } from './write-sets.ts'

function receipt(commandId: string, given: Partial<Receipt> = {}): Receipt {
  return { commandId, target: 'order:1', payloadHash: 'hash', version: 0, ...given }
}

const repeated = companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
  `a command id that was used before refuses the set, whatever the target and payload, judged ${how}`,
  async ({ driver }) => {
    await mustCommit(driver, { ...appending('order:1'), receipt: receipt('c1') })
    for (const again of [receipt('c1'), receipt('c1', { target: 'order:2' }), receipt('c1', { payloadHash: 'other' })]) {
      assert.deepEqual(await judge(driver, { ...appending('order:1', 1), receipt: again }), { status: 'receipt-exists' })
      assert.deepEqual(await judge(driver, { appends: [], receipt: again }), { status: 'receipt-exists' })
    }
    assert.equal((await driver.listStreams({ category: 'order', limit: 10 }))[0]?.version, 1)
    assert.equal((await driver.findReceipt('c1'))?.payloadHash, 'hash')
  },
])

export const receipts: BehaviourGroup = {
  group: 'receipts',
  behaviours: {
    ...Object.fromEntries(repeated),

    async 'an unknown command has none'({ driver }) {
      assert.equal(await driver.findReceipt('c1'), undefined)
    },

    async 'tells where the events of a command are'({ driver, reopen }) {
      await mustCommit(driver, { ...appending('order:9', 'any'), receipt: receipt('c0', { version: 4 }) })
      assert.deepEqual(await driver.findReceipt('c0'), { ...receipt('c0', { version: 4 }), firstPosition: 1, position: 1, eventCount: 1 })
      await mustCommit(driver, appending('order:9', 'any', events(2)))
      const set = { appends: [append('order:1', 'any', events(2)), append('order:2')], receipt: receipt('c1', { version: 5 }) }
      await mustCommit(driver, set)
      const expected = { ...receipt('c1', { version: 5 }), firstPosition: 4, position: 6, eventCount: 3 }
      assert.deepEqual(await driver.findReceipt('c1'), expected)
      assert.deepEqual(await (await reopen()).findReceipt('c1'), expected)
    },

    async 'of a command without events tells the head of the log at its time'({ driver }) {
      await mustCommit(driver, { appends: [], receipt: receipt('c1', { version: 7 }) })
      await mustCommit(driver, appending('order:1', 'any', events(3)))
      await mustCommit(driver, { appends: [], receipt: receipt('c2') })
      await mustCommit(driver, appending('order:1', 'any', events(3)))
      assert.deepEqual(await driver.findReceipt('c1'), { ...receipt('c1', { version: 7 }), firstPosition: 0, position: 0, eventCount: 0 })
      assert.deepEqual(await driver.findReceipt('c2'), { ...receipt('c2'), firstPosition: 3, position: 3, eventCount: 0 })
    },

    async 'many share a call'({ driver }) {
      const sets = Array.from({ length: 30 }, (_, index) => ({
        appends: index % 3 === 2 ? [] : [append(`order:${index}`, 'any', events((index % 3) + 1))],
        receipt: receipt(`c${index}`, { target: `order:${index}` }),
      }))
      const verdicts = await driver.commit(sets)
      for (const [index, verdict] of verdicts.entries()) {
        assert.ok(verdict.status === 'committed')
        const found = await driver.findReceipt(`c${index}`)
        assert.equal(found?.eventCount, index % 3 === 2 ? 0 : (index % 3) + 1)
        if (verdict.position > 0) assert.deepEqual([found?.firstPosition, found?.position], [verdict.firstPosition, verdict.position])
      }
      const again = await driver.commit(sets)
      assert.ok(again.every(({ status }) => status === 'receipt-exists'))
    },

    async 'of a refused command are not kept'({ driver }) {
      assert.equal((await commit(driver, { ...appending('order:1', 5), receipt: receipt('c1') })).status, 'version-conflict')
      assert.equal(await driver.findReceipt('c1'), undefined)
      await mustCommit(driver, { ...appending('order:1', 0), receipt: receipt('c1') })
    },

    async 'command ids are compared exactly, whatever they look like'({ driver }) {
      for (const name of awkwardNames)
        await mustCommit(driver, { appends: [], receipt: receipt(name, { target: name, payloadHash: name }) })
      for (const name of awkwardNames)
        assert.deepEqual(await driver.findReceipt(name), {
          ...receipt(name, { target: name, payloadHash: name }),
          firstPosition: 0,
          position: 0,
          eventCount: 0,
        })
      assert.equal(await driver.findReceipt('absent'), undefined)
    },
  },
}
