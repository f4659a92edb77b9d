import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { MessageIdentity, WriteSet } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames } from './names.ts'
import { patiently } from './patience.ts'
import { append, appending, commit, companies, events, mustCommit } from './write-sets.ts'

function message(id: string, source = 'shop'): MessageIdentity {
  return { source, id }
}

function finishing(...messages: readonly MessageIdentity[]): WriteSet {
  return { appends: [], inbox: { consumer: 'c', messages } }
}

async function found(driver: StorageDriver, messages: readonly MessageIdentity[], consumer = 'c'): Promise<readonly string[]> {
  return (await driver.inbox.find(consumer, messages)).map(({ source, id }) => `${source} ${id}`).toSorted()
}

const repeated = companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
  `one message that was finished before refuses the whole set, judged ${how}`,
  async ({ driver }) => {
    await mustCommit(driver, finishing(message('1'), message('2')))
    const set = { ...appending('order:1'), inbox: { consumer: 'c', messages: [message('3'), message('2')] } }
    assert.deepEqual(await judge(driver, set), { status: 'in-inbox' })
    assert.deepEqual(await found(driver, [message('1'), message('2'), message('3')]), ['shop 1', 'shop 2'])
    assert.deepEqual(await driver.readStream({ stream: 'order:1', direction: 'forwards', limit: 9 }), [])
  },
])

export const inbox: BehaviourGroup = {
  group: 'inbox',
  behaviours: {
    ...Object.fromEntries(repeated),

    async 'a message is found by the consumer that finished it, and by its source and id'({ driver, reopen }) {
      assert.deepEqual(await driver.inbox.find('c', []), [])
      assert.deepEqual(await driver.inbox.find('c', [message('1')]), [])
      await mustCommit(driver, { ...finishing(message('1'), message('1', 'bank')), ...appending('order:1', 'any', events(2)) })
      const asked = [message('1'), message('2'), message('1', 'bank'), message('1', 'other')]
      for (const through of [driver, await reopen()]) {
        assert.deepEqual(await found(through, asked), ['bank 1', 'shop 1'])
        assert.deepEqual(await found(through, asked, 'another consumer'), [])
      }
    },

    async 'consumers do not disturb each other'({ driver }) {
      for (const consumer of ['c', 'C', 'c ']) await mustCommit(driver, { appends: [], inbox: { consumer, messages: [message('1')] } })
      assert.deepEqual(await found(driver, [message('1')], 'c '), ['shop 1'])
    },

    async 'many at once, with names of any kind'({ driver }) {
      const messages = awkwardNames.flatMap((name) => [message(name), message('id', name)])
      const many = Array.from({ length: 2_000 }, (_, index) => message(`many ${index}`))
      await mustCommit(driver, finishing(...messages, ...many))
      assert.equal((await driver.inbox.find('c', [...many, ...messages, message('unknown')])).length, messages.length + many.length)
      for (const one of messages) assert.deepEqual(await driver.inbox.find('c', [one]), [one])
    },

    async 'a set that is refused for another reason does not finish its messages'({ driver }) {
      await mustCommit(driver, appending('order:1'))
      const refused = { appends: [append('order:1', 'no-stream')], inbox: { consumer: 'c', messages: [message('1')] } }
      const accepted = { appends: [append('order:2')], inbox: { consumer: 'd', messages: [message('1')] } }
      const verdicts = await driver.commit([refused, accepted])
      assert.deepEqual(
        verdicts.map(({ status }) => status),
        ['version-conflict', 'committed'],
      )
      assert.deepEqual(await found(driver, [message('1')]), [])
      assert.deepEqual(await found(driver, [message('1')], 'd'), ['shop 1'])
      assert.equal((await commit(driver, finishing(message('1')))).status, 'committed')
    },

    async 'of several who finish the same message at the same time one succeeds'({ driver, reopen }) {
      const others = [driver, await reopen(), await reopen()]
      for (let round = 0; round < 10; round++) {
        const verdicts = await Promise.all(
          others.map((through, index) =>
            patiently(through, () =>
              commit(through, { ...finishing(message(`a ${round}`), message(`b ${round}`)), ...appending(`order:${round}-${index}`) }),
            ),
          ),
        )
        assert.deepEqual(verdicts.map(({ status }) => status).toSorted(), ['committed', 'in-inbox', 'in-inbox'])
      }
      assert.equal((await driver.log()).head, 10)
    },

    async 'entries are forgotten by consumer and age, a few at a time'({ driver }) {
      await mustCommit(driver, finishing(...Array.from({ length: 5 }, (_, index) => message(`${index}`))))
      await mustCommit(driver, { appends: [], inbox: { consumer: 'other', messages: [message('1')] } })
      const inAMinute = Date.now() + 60_000
      assert.equal(await driver.inbox.forget({ consumer: 'c', beforeMs: Date.now() - 60_000, limit: 10 }), 0)
      assert.equal(await driver.inbox.forget({ consumer: 'c', beforeMs: inAMinute, limit: 3 }), 3)
      assert.equal(await driver.inbox.forget({ consumer: 'c', beforeMs: inAMinute, limit: 3 }), 2)
      assert.equal(await driver.inbox.forget({ consumer: 'c', beforeMs: inAMinute, limit: 3 }), 0)
      assert.deepEqual(await found(driver, [message('1')], 'other'), ['shop 1'])
      assert.equal((await commit(driver, finishing(message('1')))).status, 'committed')
    },

    async 'all entries of a consumer can be forgotten, those that were just made too'({ driver }) {
      await mustCommit(driver, finishing(...Array.from({ length: 5 }, (_, index) => message(`${index}`))))
      assert.equal(await driver.inbox.forget({ consumer: 'c', beforeMs: Infinity, limit: 3 }), 3)
      assert.equal(await driver.inbox.forget({ consumer: 'c', beforeMs: Infinity, limit: 3 }), 2)
      assert.deepEqual(await found(driver, [message('0'), message('4')]), [])
    },
  },
}
