import assert from 'node:assert/strict'
import type { StorageDriver } from '../../storage/port.ts'
import type { SnapshotWrite } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { assertRecorded, wholeStream } from './recorded.ts'
import { appending, commit, events, mustCommit } from './write-sets.ts'

function snapshot(version: number, given: Partial<SnapshotWrite> = {}): SnapshotWrite {
  return { stream: 'order:1', aggregate: 'order', schemaVersion: 1, version, state: `{"at":${version}}`, ...given }
}

async function save(driver: StorageDriver, ...snapshots: readonly SnapshotWrite[]): Promise<void> {
  await mustCommit(driver, { appends: [], snapshots })
}

/** The version of the snapshot that a load finds, and the versions of the events that follow it. */
async function load(
  driver: StorageDriver,
  shape: { aggregate?: string; schemaVersion?: number } = {},
  limit = 100,
): Promise<readonly [number | undefined, readonly number[]]> {
  const wanted = { aggregate: 'order', schemaVersion: 1, ...shape }
  const loaded = await driver.loadStream({ stream: 'order:1', snapshot: wanted, limit })
  return [loaded.snapshot?.version, loaded.events.map(({ version }) => version)]
}

export const snapshots: BehaviourGroup = {
  group: 'snapshots',
  behaviours: {
    async 'a stream is loaded from its snapshot and the events after it'({ driver, reopen }) {
      await mustCommit(driver, appending('order:1', 0, events(5)))
      await save(driver, snapshot(3))
      for (const through of [driver, await reopen()]) {
        const loaded = await through.loadStream({ stream: 'order:1', snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 100 })
        assert.deepEqual(loaded.snapshot, { version: 3, state: { at: 3 } })
        assertRecorded(loaded.events, (await wholeStream(driver, 'order:1')).slice(3))
      }
    },

    async 'a snapshot of the last version leaves no events to load'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(5)))
      await save(driver, snapshot(5))
      assert.deepEqual(await load(driver), [5, []])
    },

    async 'without a snapshot a stream is loaded from its beginning, as far as the limit'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(5)))
      assert.deepEqual(await load(driver), [undefined, [1, 2, 3, 4, 5]])
      assert.deepEqual(await load(driver, {}, 2), [undefined, [1, 2]])
      await save(driver, snapshot(2))
      assert.deepEqual(await load(driver, {}, 2), [2, [3, 4]])
    },

    async 'a load that asks for no snapshot gets none'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(3)))
      await save(driver, snapshot(2))
      const loaded = await driver.loadStream({ stream: 'order:1', limit: 2 })
      assert.equal(loaded.snapshot, undefined)
      assert.deepEqual(
        loaded.events.map(({ version }) => version),
        [1, 2],
      )
    },

    async 'an unknown stream loads as nothing'({ driver }) {
      const nothing = { snapshot: undefined, events: [] }
      assert.deepEqual(await driver.loadStream({ stream: 'order:1', limit: 10 }), nothing)
      assert.deepEqual(
        await driver.loadStream({ stream: 'order:1', snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 10 }),
        nothing,
      )
    },

    async 'a snapshot of another shape or aggregate is not used'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(3)))
      await save(driver, snapshot(2))
      assert.deepEqual(await load(driver, { schemaVersion: 2 }), [undefined, [1, 2, 3]])
      assert.deepEqual(await load(driver, { aggregate: 'invoice' }), [undefined, [1, 2, 3]])
    },

    async 'a newer snapshot replaces an older one, never the other way round'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(6)))
      for (const [written, kept] of [
        [2, 2],
        [4, 4],
        [3, 4],
        [1, 4],
        [6, 6],
        [5, 6],
      ] as const) {
        await save(driver, snapshot(written))
        assert.equal((await load(driver))[0], kept)
      }
      assert.deepEqual(
        (await driver.loadStream({ stream: 'order:1', snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 1 })).snapshot,
        {
          version: 6,
          state: { at: 6 },
        },
      )
    },

    async 'a snapshot of another shape is written though it is of an older version'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(6)))
      await save(driver, snapshot(6))
      await save(driver, snapshot(3, { schemaVersion: 2 }))
      assert.deepEqual(await load(driver, { schemaVersion: 2 }), [3, [4, 5, 6]])
    },

    // A store that was put back to an earlier state may hold one; used, it would hide the events that follow.
    async 'a snapshot of a newer version than the stream has is not used'({ driver }) {
      await mustCommit(driver, appending('order:1', 0, events(3)))
      await save(driver, snapshot(9))
      assert.deepEqual(await load(driver), [undefined, [1, 2, 3]])
    },

    async 'several aggregates keep snapshots of one stream, and one of many streams'({ driver }) {
      await driver.commit([appending('order:1', 0, events(4)), appending('order:2', 0, events(2))])
      await save(driver, snapshot(4), snapshot(2, { aggregate: 'audit' }), snapshot(1, { stream: 'order:2' }))
      assert.deepEqual(await load(driver), [4, []])
      assert.deepEqual(await load(driver, { aggregate: 'audit' }), [2, [3, 4]])
      const other = await driver.loadStream({ stream: 'order:2', snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 10 })
      assert.deepEqual([other.snapshot?.version, other.events.length], [1, 1])
    },

    async 'a snapshot is committed with the events that it includes, and not without'({ driver }) {
      await mustCommit(driver, { ...appending('order:1', 0, events(2)), snapshots: [snapshot(2)] })
      assert.deepEqual(await load(driver), [2, []])
      assert.equal((await commit(driver, { ...appending('order:1', 0, events(2)), snapshots: [snapshot(4)] })).status, 'version-conflict')
      await mustCommit(driver, appending('order:1', 2, events(3)))
      assert.deepEqual(await load(driver), [2, [3, 4, 5]])
    },

    async 'many snapshots share a call'({ driver }) {
      const streams = Array.from({ length: 50 }, (_, index) => `order:${index}`)
      await driver.commit(streams.map((stream) => appending(stream, 0, events(3))))
      await driver.commit(streams.map((stream) => ({ appends: [], snapshots: [snapshot(2, { stream })] })))
      for (const stream of streams) {
        const loaded = await driver.loadStream({ stream, snapshot: { aggregate: 'order', schemaVersion: 1 }, limit: 10 })
        assert.deepEqual([loaded.snapshot?.version, loaded.events.length], [2, 1])
      }
    },
  },
}
