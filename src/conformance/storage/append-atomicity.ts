import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { Verdict, WriteSet } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { collection, everything, makeCollection, tracesOf } from './traces.ts'
import { append, appending, commit, committed, event, events, mustCommit } from './write-sets.ts'

/** For each reason of a refusal, how to give one to a set that would be committed otherwise. */
const reasons: Readonly<Record<Exclude<Verdict['status'], 'committed'>, (set: WriteSet) => WriteSet>> = {
  'version-conflict': (set) => ({ ...set, appends: [...set.appends, append('there:1', 'no-stream')] }),
  'condition-failed': (set) => ({ ...set, conditions: [{ query: { items: [{ streams: ['there:1'] }] }, after: 0 }] }),
  'duplicate-id': (set) => ({ ...set, appends: [...set.appends, append('there:2', 'any', [event({ id: 'stored' })])] }),
  'receipt-exists': (set) => ({ ...set, receipt: { commandId: 'carried out', target: 'there:1', payloadHash: 'h', version: 1 } }),
  'in-inbox': (set) => ({
    ...set,
    inbox: {
      consumer: 'c',
      messages: [
        { source: 's', id: 'new' },
        { source: 's', id: 'finished' },
      ],
    },
  }),
  fenced: (set) => ({ ...set, checkpoint: { ...set.checkpoint!, epoch: set.checkpoint!.epoch - 1 } }),
}

/** A store with something in it on which each kind of refusal can be founded. */
async function furnish(driver: StorageDriver): Promise<number> {
  await makeCollection(driver)
  await mustCommit(driver, {
    appends: [append('there:1', 'any', [event({ id: 'stored' })])],
    receipt: { commandId: 'carried out', target: 'there:1', payloadHash: 'h', version: 1 },
    inbox: { consumer: 'c', messages: [{ source: 's', id: 'finished' }] },
  })
  const claim = await driver.processors.claim({ processor: 'summary', owner: 'me', ttlMs: 60_000, startAt: 0 })
  assert.ok(claim.claimed)
  return claim.epoch
}

const refusals = Object.entries(reasons).flatMap(([status, spoil]): [string, BehaviourGroup['behaviours'][string]][] => [
  [
    `a set refused with ${status} leaves no trace, and what it used is free`,
    async ({ driver }) => {
      const set = everything('order:1', 'summary', await furnish(driver))
      const before = await tracesOf(driver, 'order:1')
      assert.equal((await commit(driver, spoil(set))).status, status)
      assert.deepEqual(await tracesOf(driver, 'order:1'), before)
      assert.deepEqual((await mustCommit(driver, set)).versions, [1, 1])
    },
  ],
  [
    `a set refused with ${status} does not touch its neighbours`,
    async ({ driver }) => {
      const set = everything('order:1', 'summary', await furnish(driver))
      const sets = [appending('other:1', 0, events(2)), spoil(set), appending('other:2', 0), appending('other:3', 0, events(3))]
      const verdicts = await driver.commit(sets)
      assert.deepEqual(
        verdicts.map((verdict) => (verdict.status === 'committed' ? [verdict.firstPosition, verdict.position] : verdict.status)),
        [[2, 3], status, [4, 4], [5, 7]],
      )
      assert.equal((await driver.documents.get(collection, ['order:1'])).size, 0)
      assert.equal((await driver.log()).head, 7)
    },
  ],
])

export const appendAtomicity: BehaviourGroup = {
  group: 'append: all or nothing',
  behaviours: {
    ...Object.fromEntries(refusals),

    async 'everything that a set changes is there when it is committed, for other drivers too'({ driver, reopen }) {
      const epoch = await furnish(driver)
      const set = everything('order:1', 'summary', epoch)
      const { firstPosition, position, versions } = await mustCommit(driver, set)
      assert.deepEqual({ firstPosition, position, versions }, { firstPosition: 2, position: 3, versions: [1, 1] })
      const seen = (await tracesOf(await reopen(), 'order:1')) as Record<string, unknown>
      assert.equal(seen['head'], 3)
      assert.deepEqual(seen['tagged'], [set.appends[0]!.events[0]!.id])
      assert.deepEqual(seen['checkpoints'], { summary: 7 })
      assert.equal(seen['document'], '{"state":"new"}')
      assert.equal((seen['inState'] as unknown[]).length, 1)
      assert.equal((seen['withWords'] as unknown[]).length, 1)
      assert.ok(seen['receipt'])
      assert.deepEqual(seen['snapshot'], { version: 1, state: { state: 'new' } })
    },

    async 'one stream that is not as expected keeps the events of all others back'({ driver }) {
      await mustCommit(driver, appending('order:7'))
      const streams = Array.from({ length: 10 }, (_, index) => append(`order:${index}`, 'no-stream', events(3)))
      assert.equal((await commit(driver, { appends: streams })).status, 'version-conflict')
      assert.deepEqual(await driver.listStreams({ limit: 100 }), [{ stream: 'order:7', version: 1, position: 1 }])
    },

    async 'a call in which every set is refused commits nothing'({ driver }) {
      await mustCommit(driver, appending('order:1'))
      const verdicts = await driver.commit([appending('order:1', 0), appending('order:2', 'stream-exists'), appending('order:3', 9)])
      assert.deepEqual(
        verdicts.map(({ status }) => status),
        ['version-conflict', 'version-conflict', 'version-conflict'],
      )
      assert.equal((await driver.log()).head, 1)
    },

    async 'a set without events is committed, with position 0'({ driver }) {
      await makeCollection(driver)
      await mustCommit(driver, appending('order:1'))
      const documents = [{ collection, key: 'a', document: '{}', fields: ['x'], words: null }]
      const none = { status: 'committed', firstPosition: 0, position: 0, versions: [] }
      assert.deepEqual(await commit(driver, { appends: [], documents }), none)
      assert.deepEqual(await commit(driver, { appends: [] }), none)
      const [first, second, third] = await driver.commit([{ appends: [] }, appending('order:1', 1), { appends: [], documents }])
      assert.deepEqual([first, third], [none, none])
      assert.equal(committed(second).position, 2)
    },

    // The core refuses such a name before it gets here; another poison may not be known yet. Then it divides the call until one set is left.
    async 'a call in which the database chokes on one set is rejected for good and commits nothing, or commits it'({ driver }) {
      const sets = [appending('order:1', 0), appending('order:\u0000', 0), appending('order:3', 0)]
      for (const call of [sets, sets.slice(1, 2)]) {
        const { head } = await driver.log()
        const outcome = await driver.commit(call).catch((error: unknown) => ({ error }))
        if ('error' in outcome) assert.equal(driver.isTransient(outcome.error), false, String(outcome.error))
        const grown = (await driver.log()).head - head
        assert.equal(grown, 'error' in outcome ? 0 : outcome.filter(({ status }) => status === 'committed').length)
      }
      assert.equal((await commit(driver, appending('order:4', 0))).status, 'committed')
    },

    async 'a call without sets has no verdicts'({ driver }) {
      assert.deepEqual(await driver.commit([]), [])
    },
  },
}
