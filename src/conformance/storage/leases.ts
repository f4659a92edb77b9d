import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { ProcessorInfo, ProcessorReset, StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { awkwardNames } from './names.ts'
import { eventually, patiently } from './patience.ts'

const long = 60_000

/** Claims for an owner who must get the processor. */
export async function claimed(
  driver: StorageDriver,
  processor: string,
  owner: string,
  { ttlMs = long, startAt = 0 }: { ttlMs?: number; startAt?: number } = {},
): Promise<{ readonly epoch: number; readonly position: number }> {
  const claim = await driver.processors.claim({ processor, owner, ttlMs, startAt })
  assert.ok(claim.claimed, `${owner} gets ${processor}`)
  return { epoch: claim.epoch, position: claim.position }
}

async function isRefused(driver: StorageDriver, processor: string, owner: string): Promise<boolean> {
  return !(await driver.processors.claim({ processor, owner, ttlMs: long, startAt: 0 })).claimed
}

export async function infoOf(driver: StorageDriver, processor: string): Promise<ProcessorInfo | undefined> {
  return (await driver.processors.list()).find((info) => info.processor === processor)
}

export const leases: BehaviourGroup = {
  group: 'leases',
  behaviours: {
    async 'a processor that does not exist begins where its first owner says, with an epoch above 0'({ driver }) {
      const { epoch, position } = await claimed(driver, 'p', 'a', { startAt: 42 })
      assert.equal(position, 42)
      assert.ok(Number.isSafeInteger(epoch) && epoch >= 1, `epoch ${epoch}`)
      const [info, ...others] = await driver.processors.list()
      assert.deepEqual(others, [])
      const { processor, owner, failure } = info!
      assert.deepEqual([processor, info!.position, info!.epoch, owner, failure], ['p', 42, epoch, 'a', undefined])
    },

    async 'a processor that exists begins where its checkpoint is'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a', { startAt: 42 })
      await driver.commit([{ appends: [], checkpoint: { processor: 'p', epoch, position: 50 } }])
      await driver.processors.release({ owner: 'a', processors: ['p'] })
      assert.equal((await claimed(driver, 'p', 'b', { startAt: 7 })).position, 50)
    },

    async 'a lease that is held is refused to others, who are told by whom and for how long'({ driver, reopen }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      for (const through of [driver, await reopen()]) {
        const claim = await through.processors.claim({ processor: 'p', owner: 'b', ttlMs: 1, startAt: 9 })
        assert.ok(!claim.claimed)
        assert.equal(claim.owner, 'a')
        assert.ok(claim.expiresInMs > 0 && claim.expiresInMs <= long, `${claim.expiresInMs} ms`)
      }
      const info = await infoOf(driver, 'p')
      assert.deepEqual([info?.owner, info?.epoch], ['a', epoch])
    },

    async 'a lease is taken over after it has expired, and not before'({ driver, reopen }) {
      const other = await reopen()
      const ttlMs = 400
      const beganMs = performance.now()
      const first = await claimed(driver, 'p', 'a', { ttlMs })
      let second: { epoch: number } | undefined
      await eventually('a takes over', async () => {
        const claim = await other.processors.claim({ processor: 'p', owner: 'b', ttlMs: long, startAt: 0 })
        if (claim.claimed) second = claim
        return claim.claimed
      })
      const passedMs = performance.now() - beganMs
      assert.ok(passedMs >= ttlMs - 5, `taken over after ${passedMs} ms of ${ttlMs}`)
      assert.ok(second!.epoch > first.epoch)
      assert.equal((await infoOf(driver, 'p'))?.owner, 'b')
    },

    async 'whoever was given the work by somebody else takes a lease over that is held, and fences its owner off'({ driver, reopen }) {
      const { epoch } = await claimed(driver, 'p', 'a')
      const other = await reopen()
      const claim = await other.processors.claim({ processor: 'p', owner: 'b', ttlMs: long, startAt: 0, takesOver: true })
      assert.ok(claim.claimed && claim.epoch > epoch && !claim.abandoned)
      assert.ok(await isRefused(driver, 'p', 'a'))
      const [verdict] = await driver.commit([{ appends: [], checkpoint: { processor: 'p', epoch, position: 1 } }])
      assert.equal(verdict?.status, 'fenced')
    },

    async 'who takes over from an owner that did not give its lease back is told so'({ driver, reopen }) {
      const other = await reopen()
      const abandonedFor = async (owner: string): Promise<boolean | undefined> => {
        const claim = await other.processors.claim({ processor: 'p', owner, ttlMs: 1, startAt: 0 })
        return claim.claimed ? claim.abandoned : undefined
      }
      assert.equal(await abandonedFor('a'), false)
      assert.equal(await abandonedFor('a'), false)
      await eventually('the lease expires', async () => (await infoOf(driver, 'p'))?.owner === undefined)
      assert.equal(await abandonedFor('b'), true)
      await driver.processors.release({ owner: 'b', processors: ['p'] })
      assert.equal(await abandonedFor('c'), false)
      await driver.processors.reset({ processor: 'p', position: 0 })
    },

    async 'the owner may claim again, which raises the epoch and keeps the position'({ driver }) {
      const first = await claimed(driver, 'p', 'a', { startAt: 5 })
      const second = await claimed(driver, 'p', 'a', { startAt: 9 })
      const third = await claimed(driver, 'p', 'a')
      assert.ok(first.epoch < second.epoch && second.epoch < third.epoch)
      assert.deepEqual([second.position, third.position], [5, 5])
    },

    async 'of those who claim at the same time one succeeds'({ driver, reopen }) {
      const drivers = [driver, await reopen()]
      for (const processor of ['p1', 'p2', 'p3']) {
        const claims = await Promise.all(
          Array.from({ length: 10 }, (_, index) => {
            const through = drivers[index % 2]!
            return patiently(through, () => through.processors.claim({ processor, owner: `owner ${index}`, ttlMs: long, startAt: 3 }))
          }),
        )
        const winner = claims.findIndex((claim) => claim.claimed)
        assert.equal(claims.filter((claim) => claim.claimed).length, 1)
        for (const claim of claims) if (!claim.claimed) assert.equal(claim.owner, `owner ${winner}`)
      }
    },

    async 'renewing prolongs a lease'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a', { ttlMs: 1_000 })
      assert.deepEqual(await driver.processors.renew({ owner: 'a', ttlMs: long, held: [{ processor: 'p', epoch }] }), ['p'])
      const claim = await driver.processors.claim({ processor: 'p', owner: 'b', ttlMs: long, startAt: 0 })
      assert.ok(!claim.claimed && claim.expiresInMs > 2_000)
      assert.equal((await infoOf(driver, 'p'))?.epoch, epoch)
    },

    async 'renewing returns only the leases that are still held under the epoch given'({ driver }) {
      const epochs = new Map<string, number>()
      for (const processor of ['mine', 'reclaimed', 'lost', 'reset', 'removed', 'released'])
        epochs.set(processor, (await claimed(driver, processor, 'a')).epoch)
      epochs.set('theirs', (await claimed(driver, 'theirs', 'b')).epoch)
      await claimed(driver, 'reclaimed', 'a')
      await driver.processors.release({ owner: 'a', processors: ['lost', 'released'] })
      await claimed(driver, 'lost', 'b')
      await driver.processors.reset({ processor: 'reset', position: 1 })
      await driver.processors.remove('removed')
      const held = [...epochs].map(([processor, epoch]) => ({ processor, epoch }))
      const renewed = await driver.processors.renew({ owner: 'a', ttlMs: long, held: [...held, { processor: 'unknown', epoch: 1 }] })
      assert.deepEqual(renewed, ['mine'])
      assert.deepEqual(await driver.processors.renew({ owner: 'a', ttlMs: long, held: [] }), [])
      assert.equal((await infoOf(driver, 'lost'))?.owner, 'b')
      assert.equal(await infoOf(driver, 'unknown'), undefined)
    },

    async 'renewing many at once returns them all'({ driver }) {
      const held: { processor: string; epoch: number }[] = []
      for (let index = 0; index < 60; index++) {
        const processor = `p${index}`
        held.push({ processor, epoch: (await claimed(driver, processor, 'a')).epoch })
      }
      const renewed = await driver.processors.renew({ owner: 'a', ttlMs: long, held })
      assert.deepEqual(renewed.toSorted(), held.map(({ processor }) => processor).toSorted())
    },

    async 'a lease that has expired and that nobody took can be renewed'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a', { ttlMs: 1 })
      await eventually('the lease expires', async () => (await infoOf(driver, 'p'))?.owner === undefined)
      assert.deepEqual(await driver.processors.renew({ owner: 'a', ttlMs: long, held: [{ processor: 'p', epoch }] }), ['p'])
      assert.ok(await isRefused(driver, 'p', 'b'))
    },

    async 'a released lease is free at once, and nobody holds it'({ driver, reopen }) {
      const { epoch } = await claimed(driver, 'p', 'a', { startAt: 3 })
      await driver.processors.release({ owner: 'a', processors: ['p'] })
      assert.equal((await infoOf(driver, 'p'))?.owner, undefined)
      const next = await claimed(await reopen(), 'p', 'b')
      assert.ok(next.epoch > epoch)
      assert.equal(next.position, 3)
    },

    async "releasing leaves other owners' leases alone, and names that are not there"({ driver }) {
      await claimed(driver, 'p', 'a')
      await claimed(driver, 'q', 'b')
      await driver.processors.release({ owner: 'b', processors: ['p', 'q', 'unknown'] })
      await driver.processors.release({ owner: 'a', processors: [] })
      assert.ok(await isRefused(driver, 'p', 'c'))
      const owners = new Map((await driver.processors.list()).map(({ processor, owner }) => [processor, owner]))
      assert.deepEqual([owners.get('p'), owners.get('q')], ['a', undefined])
    },

    async 'nobody is named as the owner of a lease that has expired'({ driver }) {
      await claimed(driver, 'p', 'a', { ttlMs: 30 })
      await delay(30)
      await eventually('the owner is forgotten', async () => (await infoOf(driver, 'p'))?.owner === undefined)
    },

    async 'why a processor stands still is noted by its owner and nobody else'({ driver }) {
      const first = await claimed(driver, 'p', 'a')
      const report = (epoch: number, failure: string | null): Promise<void> => driver.processors.report({ processor: 'p', epoch, failure })
      await report(first.epoch, "it's broken: 100%")
      assert.equal((await infoOf(driver, 'p'))?.failure, "it's broken: 100%")
      await report(first.epoch, null)
      assert.equal((await infoOf(driver, 'p'))?.failure, undefined)
      const second = await claimed(driver, 'p', 'a')
      await report(second.epoch, 'current')
      await report(first.epoch, 'late')
      await report(first.epoch, null)
      await report(second.epoch + 1, 'early')
      assert.equal((await infoOf(driver, 'p'))?.failure, 'current')
      await driver.processors.report({ processor: 'unknown', epoch: 1, failure: 'x' })
      assert.equal(await infoOf(driver, 'unknown'), undefined)
    },

    async 'resetting moves the checkpoint and raises the epoch'({ driver }) {
      const first = await claimed(driver, 'p', 'a', { startAt: 10 })
      await driver.processors.reset({ processor: 'p', position: 2 })
      const info = await infoOf(driver, 'p')
      assert.equal(info?.position, 2)
      assert.ok(info.epoch > first.epoch)
      const second = await claimed(driver, 'p', 'a')
      assert.equal(second.position, 2)
      assert.ok(second.epoch > info.epoch)
    },

    async 'resetting frees the lease, and forgets why the processor stood still'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'a', { startAt: 10 })
      await driver.processors.report({ processor: 'p', epoch, failure: 'it cannot go on' })
      await driver.processors.reset({ processor: 'p', position: 2 })
      const info = await infoOf(driver, 'p')
      assert.deepEqual([info?.owner, info?.failure], [undefined, undefined])
      assert.deepEqual(await driver.processors.renew({ owner: 'a', ttlMs: 60_000, held: [{ processor: 'p', epoch }] }), [])
      assert.equal((await claimed(driver, 'p', 'b')).position, 2)
    },

    async 'several are reset together, or none of them'({ driver }) {
      for (const name of ['q', 'p', 'r']) await claimed(driver, name, 'a', { startAt: 10 })
      const positions = async (): Promise<readonly string[]> =>
        (await driver.processors.list()).map(({ processor, position }) => `${processor} ${position}`).toSorted()
      const resets = (last: number): readonly ProcessorReset[] => [
        { processor: 'q', position: 1 },
        { processor: 'unknown', position: 2 },
        { processor: 'p', position: 3 },
        { processor: 'r', position: last },
      ]
      await assert.rejects(driver.processors.reset(...resets(Number.NaN)))
      assert.deepEqual(await positions(), ['p 10', 'q 10', 'r 10'])
      assert.equal((await infoOf(driver, 'q'))?.owner, 'a')
      await driver.processors.reset(...resets(4))
      assert.deepEqual(await positions(), ['p 3', 'q 1', 'r 4'])
      assert.deepEqual(
        (await driver.processors.list()).map(({ owner }) => owner),
        [undefined, undefined, undefined],
      )
    },

    async 'resetting and removing a processor that does not exist does nothing'({ driver }) {
      await driver.processors.remove('unknown')
      await driver.processors.reset({ processor: 'unknown', position: 5 })
      assert.deepEqual(await driver.processors.list(), [])
      assert.equal((await claimed(driver, 'unknown', 'a', { startAt: 1 })).position, 1)
    },

    async 'a removed processor is gone, and begins anew'({ driver }) {
      await claimed(driver, 'p', 'a', { startAt: 10 })
      await claimed(driver, 'q', 'a', { startAt: 11 })
      await driver.processors.remove('p')
      assert.deepEqual(
        (await driver.processors.list()).map(({ processor }) => processor),
        ['q'],
      )
      assert.equal((await claimed(driver, 'p', 'b', { startAt: 4 })).position, 4)
    },

    async 'names are compared exactly, whatever they look like'({ driver }) {
      for (const [index, name] of awkwardNames.entries()) await claimed(driver, name, name, { startAt: index })
      const listed = new Map((await driver.processors.list()).map((info) => [info.processor, info]))
      assert.equal(listed.size, awkwardNames.length)
      for (const [index, name] of awkwardNames.entries())
        assert.deepEqual([listed.get(name)?.position, listed.get(name)?.owner], [index, name])
      await driver.processors.release({ owner: '%', processors: awkwardNames })
      assert.equal((await driver.processors.list()).filter(({ owner }) => owner === undefined).length, 1)
    },
  },
}
