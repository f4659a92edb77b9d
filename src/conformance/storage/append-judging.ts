import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { WriteSet } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { append, companies, event, mustCommit } from './write-sets.ts'

/** What is wrong with a set, in the order in which it must be found. */
const wrongs = ['fenced', 'in-inbox', 'receipt-exists', 'duplicate-id', 'version-conflict', 'condition-failed'] as const
type Wrong = (typeof wrongs)[number]

async function furnish(driver: StorageDriver): Promise<number> {
  await mustCommit(driver, {
    appends: [append('order:1', 'any', [event({ id: 'stored' })])],
    receipt: { commandId: 'carried out', target: 'order:1', payloadHash: 'h', version: 1 },
    inbox: { consumer: 'c', messages: [{ source: 's', id: 'finished' }] },
  })
  const claim = await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 60_000, startAt: 0 })
  assert.ok(claim.claimed)
  return claim.epoch
}

function setWith(wrong: ReadonlySet<Wrong>, epoch: number): WriteSet {
  return {
    appends: [
      append('order:1', wrong.has('version-conflict') ? 'no-stream' : 1),
      append('order:2', 'any', [wrong.has('duplicate-id') ? event({ id: 'stored' }) : event()]),
    ],
    conditions: [{ query: { items: [{ streams: ['order:1'] }] }, after: wrong.has('condition-failed') ? 0 : 1 }],
    checkpoint: { processor: 'p', epoch: wrong.has('fenced') ? epoch + 1 : epoch, position: 1 },
    receipt: { commandId: wrong.has('receipt-exists') ? 'carried out' : 'new', target: 'order:1', payloadHash: 'other', version: 1 },
    inbox: { consumer: 'c', messages: [{ source: 's', id: wrong.has('in-inbox') ? 'finished' : 'new' }] },
  }
}

const behaviours = companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
  `of several reasons to refuse a set the first is told: fence, inbox, receipt, duplicate, version, condition; judged ${how}`,
  async ({ driver }) => {
    const epoch = await furnish(driver)
    // Each combination of wrongs: 63 sets to refuse, and one to commit at the end.
    for (let bits = 63; bits >= 0; bits--) {
      const wrong = wrongs.filter((_, index) => bits & (1 << index))
      const { status } = await judge(driver, setWith(new Set(wrong), epoch))
      assert.equal(status, wrong[0] ?? 'committed', wrong.join(', '))
    }
  },
])

// The commonest set of all, for which a driver may have a way of its own.
const ofOneEvent = companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
  `of several reasons to refuse a set of one event with a receipt the first is told, judged ${how}`,
  async ({ driver }) => {
    await furnish(driver)
    const wrongsOfOne = ['receipt-exists', 'duplicate-id', 'version-conflict'] as const
    for (let bits = 7; bits >= 0; bits--) {
      const wrong = new Set(wrongsOfOne.filter((_, index) => bits & (1 << index)))
      const { status } = await judge(driver, {
        appends: [
          append('order:1', wrong.has('version-conflict') ? 0 : 1, [wrong.has('duplicate-id') ? event({ id: 'stored' }) : event()]),
        ],
        receipt: { commandId: wrong.has('receipt-exists') ? 'carried out' : 'new', target: 'order:1', payloadHash: 'h', version: 1 },
      })
      assert.equal(status, [...wrong][0] ?? 'committed', [...wrong].join(', '))
    }
  },
])

export const appendJudging: BehaviourGroup = {
  group: 'append: order of judging',
  behaviours: Object.fromEntries([...behaviours, ...ofOneEvent]),
}
