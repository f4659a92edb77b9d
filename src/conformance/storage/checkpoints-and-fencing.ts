import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { DocumentWrite, WriteSet } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { claimed, infoOf } from './leases.ts'
import { eventually, Patience, patiently } from './patience.ts'
import { collection, makeCollection } from './traces.ts'
import { append, appending, commit, companies, mustCommit } from './write-sets.ts'

function document(value: string): DocumentWrite {
  return { collection, key: 'k', document: JSON.stringify(value), fields: [value], words: null }
}

function moving(epoch: number, position: number, rest: Partial<WriteSet> = {}): WriteSet {
  return { appends: [], checkpoint: { processor: 'p', epoch, position }, ...rest }
}

const fenced = companies.map(({ how, judge }): [string, BehaviourGroup['behaviours'][string]] => [
  `whoever was paused while another took over writes nothing any more, judged ${how}`,
  async ({ driver, reopen }) => {
    await makeCollection(driver)
    const paused = await reopen()
    const before = await claimed(paused, 'p', 'a', { ttlMs: 1 })
    await mustCommit(paused, moving(before.epoch, 1, { documents: [document('old')] }))
    await eventually('the lease expires', async () => (await infoOf(driver, 'p'))?.owner === undefined)
    const after = await claimed(driver, 'p', 'b')
    assert.equal(after.position, 1)
    const late = moving(before.epoch, 2, { documents: [document('late')], appends: [append('order:1')] })
    assert.deepEqual(await judge(paused, late), { status: 'fenced', actualEpoch: after.epoch })
    await mustCommit(driver, moving(after.epoch, 2, { documents: [document('new')] }))
    assert.deepEqual(await judge(paused, late), { status: 'fenced', actualEpoch: after.epoch })
    assert.equal((await driver.documents.get(collection, ['k'])).get('k'), '"new"')
    assert.equal((await infoOf(driver, 'p'))?.position, 2)
    assert.deepEqual(await driver.listStreams({ category: 'order', limit: 1 }), [])
  },
])

export const checkpointsAndFencing: BehaviourGroup = {
  group: 'checkpoints and fencing',
  behaviours: {
    ...Object.fromEntries(fenced),

    async 'a checkpoint moves with the set, and not without'({ driver, reopen }) {
      await makeCollection(driver)
      const { epoch } = await claimed(driver, 'p', 'a')
      await mustCommit(driver, moving(epoch, 5, { documents: [document('five')], appends: [append('order:1')] }))
      const other = await reopen()
      assert.equal((await infoOf(other, 'p'))?.position, 5)
      assert.equal((await other.documents.get(collection, ['k'])).get('k'), '"five"')
      const refused = moving(epoch, 6, { documents: [document('six')], appends: [append('order:1', 0)] })
      assert.equal((await commit(driver, refused)).status, 'version-conflict')
      assert.equal((await infoOf(other, 'p'))?.position, 5)
      assert.equal((await other.documents.get(collection, ['k'])).get('k'), '"five"')
    },

    async 'a set may do nothing but move a checkpoint'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      assert.deepEqual(await commit(driver, moving(epoch, 9)), { status: 'committed', firstPosition: 0, position: 0, versions: [] })
      assert.equal((await infoOf(driver, 'p'))?.position, 9)
    },

    async 'what is kept with a checkpoint is told to whoever claims the processor, and goes with the next move'({ driver, reopen }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      const state = '{"done":"5-7","text":"\\"…\\" \\\\ 😀"}'
      const stateFor = async (through: StorageDriver): Promise<unknown> => {
        const claim = await through.processors.claim({ processor: 'p', owner: 'a', ttlMs: 60_000, startAt: 0 })
        return claim.claimed && [claim.position, claim.state]
      }
      await mustCommit(driver, { appends: [], checkpoint: { processor: 'p', epoch, position: 3, state } })
      assert.deepEqual(await stateFor(await reopen()), [3, state])
      const second = await claimed(driver, 'p', 'a')
      await mustCommit(driver, { appends: [], checkpoint: { processor: 'p', epoch: second.epoch, position: 3, state: 'other' } })
      assert.deepEqual(await stateFor(driver), [3, 'other'])
      const third = await claimed(driver, 'p', 'a')
      await mustCommit(driver, moving(third.epoch, 4, { appends: [append('order:1')] }))
      assert.deepEqual(await stateFor(driver), [4, undefined])
      const fourth = await claimed(driver, 'p', 'a')
      await mustCommit(driver, { appends: [], checkpoint: { processor: 'p', epoch: fourth.epoch, position: 5, state } })
      await driver.processors.reset({ processor: 'p', position: 2 })
      assert.deepEqual(await stateFor(driver), [2, undefined])
    },

    async 'it is noted when a checkpoint moved'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      await mustCommit(driver, moving(epoch, 1))
      const first = (await infoOf(driver, 'p'))!.movedAtMs
      // The database's clock, which need not be this process's.
      assert.ok(Math.abs(first - Date.now()) < 300_000, `moved at ${first}`)
      let position = 1
      await eventually('a later move is noted as later', async () => {
        await mustCommit(driver, moving(epoch, ++position))
        return (await infoOf(driver, 'p'))!.movedAtMs > first
      })
    },

    async 'the checkpoints of many processors move in one call, each by itself'({ driver }) {
      const epochs: number[] = []
      for (let index = 0; index < 30; index++) epochs.push((await claimed(driver, `p${index}`, 'a')).epoch)
      const verdicts = await driver.commit(
        epochs.map((epoch, index) => ({
          appends: index % 5 === 1 ? [append(`order:${index}`)] : [],
          checkpoint: { processor: `p${index}`, epoch: index % 3 === 0 ? epoch - 1 : epoch, position: index + 1 },
        })),
      )
      const list = new Map((await driver.processors.list()).map(({ processor, position }) => [processor, position]))
      for (const [index, verdict] of verdicts.entries()) {
        if (index % 3 === 0) assert.deepEqual(verdict, { status: 'fenced', actualEpoch: epochs[index] })
        else assert.equal(verdict.status, 'committed')
        assert.equal(list.get(`p${index}`), index % 3 === 0 ? 0 : index + 1)
      }
    },

    async 'an unknown processor is fenced, with epoch 0'({ driver }) {
      for (const { judge } of companies)
        assert.deepEqual(await judge(driver, moving(1, 1, { appends: [append('order:1')] })), { status: 'fenced', actualEpoch: 0 })
      assert.deepEqual(await driver.processors.list(), [])
    },

    async 'an epoch that is still to come is fenced too'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      assert.deepEqual(await commit(driver, moving(epoch + 1, 1)), { status: 'fenced', actualEpoch: epoch })
    },

    // A set whose acknowledgement was lost may still be on its way when its repetition and later ones are committed; `reset` is how to go back.
    async 'a set whose checkpoint is behind the current one comes too late'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a', { startAt: 5 })
      for (const { judge } of companies) {
        assert.deepEqual(await judge(driver, moving(epoch, 3)), { status: 'fenced', actualEpoch: epoch })
        assert.equal((await judge(driver, moving(epoch, 5))).status, 'committed')
        assert.equal((await infoOf(driver, 'p'))?.position, 5)
      }
    },

    async 'an owner who claims again fences off its own earlier self'({ driver }) {
      const first = await claimed(driver, 'p', 'a')
      const second = await claimed(driver, 'p', 'a')
      assert.deepEqual(await commit(driver, moving(first.epoch, 1)), { status: 'fenced', actualEpoch: second.epoch })
      await mustCommit(driver, moving(second.epoch, 1))
    },

    // The epoch fences, not the clock: nobody else can have written meanwhile.
    async 'an owner whose lease has expired may write as long as nobody took over'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a', { ttlMs: 1 })
      await eventually('the lease expires', async () => (await infoOf(driver, 'p'))?.owner === undefined)
      await mustCommit(driver, moving(epoch, 3))
      assert.equal((await claimed(driver, 'p', 'b')).position, 3)
    },

    async 'after a reset the earlier epoch is fenced, and the next owner begins at the new place'({ driver }) {
      const first = await claimed(driver, 'p', 'a', { startAt: 10 })
      await driver.processors.reset({ processor: 'p', position: 2 })
      assert.equal((await commit(driver, moving(first.epoch, 11))).status, 'fenced')
      const second = await claimed(driver, 'p', 'a')
      assert.equal(second.position, 2)
      await mustCommit(driver, moving(second.epoch, 3))
    },

    async 'the owner of a processor that was removed stays fenced off, also when it is made anew'({ driver }) {
      const first = await claimed(driver, 'p', 'a')
      await driver.processors.remove('p')
      assert.deepEqual(await commit(driver, moving(first.epoch, 1)), { status: 'fenced', actualEpoch: 0 })
      const second = await claimed(driver, 'p', 'b')
      assert.ok(second.epoch > first.epoch, `epoch ${second.epoch} after ${first.epoch}`)
      assert.deepEqual(await commit(driver, moving(first.epoch, 1)), { status: 'fenced', actualEpoch: second.epoch })
    },

    async 'a fenced set does not keep its neighbours from being committed'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      const verdicts = await driver.commit([
        appending('order:1'),
        moving(epoch + 5, 1, { appends: [append('order:2')] }),
        appending('order:3'),
      ])
      assert.deepEqual(
        verdicts.map(({ status }) => status),
        ['committed', 'fenced', 'committed'],
      )
      assert.equal((await driver.log()).head, 2)
    },

    async 'a new owner begins exactly behind the last thing that the earlier one committed'({ driver, reopen }) {
      await makeCollection(driver)
      const drivers = [driver, await reopen()]
      const patience = new Patience('eight owners one after the other')
      let { epoch, position } = await claimed(driver, 'p', 'owner 0', { ttlMs: 1 })
      for (let round = 1; round <= 8; round++) {
        const [working, standby] = [drivers[(round + 1) % 2]!, drivers[round % 2]!]
        const work = async (): Promise<void> => {
          for (;;) {
            patience.check()
            const set = moving(epoch, position + 1, { documents: [document(String(position + 1))] })
            const [verdict] = await patiently(working, () => working.commit([set]))
            if (verdict!.status === 'fenced') return
            assert.equal(verdict!.status, 'committed')
            position++
          }
        }
        const takeOver = async (): Promise<{ epoch: number; position: number }> => {
          for (;;) {
            patience.check()
            const claim = await patiently(standby, () =>
              standby.processors.claim({ processor: 'p', owner: `owner ${round}`, ttlMs: 1, startAt: 0 }),
            )
            if (claim.claimed) return claim
          }
        }
        const [next] = await Promise.all([takeOver(), work()])
        assert.equal(next.position, position)
        assert.equal((await driver.documents.get(collection, ['k'])).get('k') ?? '"0"', JSON.stringify(String(position)))
        epoch = next.epoch
      }
    },
  },
}
