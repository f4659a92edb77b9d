import assert from 'node:assert/strict'
import type { RecordedEvent } from '../../message/event.ts'
import type { StorageDriver } from '../../storage/port.ts'
import type { CheckpointMove, Committed, Verdict, WriteSet } from '../../storage/write-set.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { commitPatiently, Patience } from './patience.ts'
import { assertDense, wholeLog, wholeStream } from './recorded.ts'
import { collection, makeCollection } from './traces.ts'
import { append, appending, committed, event, events, mustCommit, writing } from './write-sets.ts'

async function judge(driver: StorageDriver, set: WriteSet): Promise<Verdict> {
  return (await commitPatiently(driver, [set]))[0]!
}

/** `count` workers at once, spread over the drivers. */
async function together<T>(
  drivers: readonly StorageDriver[],
  count: number,
  work: (driver: StorageDriver, worker: number) => Promise<T>,
): Promise<readonly T[]> {
  return Promise.all(Array.from({ length: count }, (_, worker) => work(drivers[worker % drivers.length]!, worker)))
}

export const appendConcurrency: BehaviourGroup = {
  group: 'append: concurrent writers',
  behaviours: {
    async 'each version of a contested stream has exactly one winner'({ driver, reopen }) {
      const target = 40
      const patience = new Patience('a contest of eight writers')
      const won = await together([driver, await reopen()], 8, async (through, worker) => {
        const mine: number[] = []
        for (let version = 0; version < target;) {
          patience.check()
          const verdict = await judge(through, appending('counter:1', version, [event({ data: String(worker) })]))
          if (verdict.status === 'committed') mine.push((version = verdict.versions[0]!))
          else {
            assert.ok(verdict.status === 'version-conflict')
            assert.ok(verdict.actual > version, `refused at version ${verdict.actual} for expecting ${version}`)
            version = verdict.actual
          }
        }
        return mine
      })
      const stream = await wholeStream(driver, 'counter:1')
      assert.deepEqual(
        won.flat().toSorted((left, right) => left - right),
        Array.from({ length: target }, (_, index) => index + 1),
      )
      for (const { version, data } of stream) assert.ok(won[data as number]!.includes(version), `version ${version} belongs to its winner`)
    },

    async 'of those who create a stream at the same time one does'({ driver, reopen }) {
      const verdicts = await together([driver, await reopen()], 30, (through, worker) => judge(through, appending(`user:${worker % 3}`, 0)))
      assert.equal(verdicts.filter(({ status }) => status === 'committed').length, 3)
      for (const verdict of verdicts)
        if (verdict.status !== 'committed') assert.ok(verdict.status === 'version-conflict' && verdict.actual === 1)
    },

    async 'positions and versions are dense, and verdicts tell the truth about them'({ driver, reopen }) {
      const drivers = [driver, await reopen(), await reopen()]
      const rounds = 15
      const told = await together(drivers, 9, async (through, worker) => {
        const results: { readonly set: WriteSet; readonly verdict: Committed }[] = []
        for (let round = 0; round < rounds; round++) {
          const set: WriteSet = {
            appends: [
              append('shared:1', 'any', events(1 + (round % 3))),
              append(`own:${worker}`, round * 2, events(2)),
              append('shared:2'),
            ],
          }
          // Every third set is accompanied by one that is refused, which must leave no gap.
          const sets = round % 3 === 0 ? [appending(`none:${worker}`, 'stream-exists'), set] : [set]
          results.push({ set, verdict: committed((await commitPatiently(through, sets)).at(-1)) })
        }
        return results
      })
      const log = await wholeLog(driver)
      assertDense(log)
      assert.equal(log.length, 9 * (rounds * 3 + rounds * 2))
      for (const results of told) {
        for (const { set, verdict } of results) assertTold(log, set, verdict)
        const order = results.map(({ verdict }) => verdict.position)
        assert.deepEqual(
          order,
          order.toSorted((left, right) => left - right),
          'what one writer appends later comes later',
        )
      }
    },

    async 'a reader never sees a gap that is filled later, nor an event that moves'({ driver, reopen }) {
      const [second, reader] = [await reopen(), await reopen()]
      let appended = false
      const seen: RecordedEvent[] = []
      const patience = new Patience('reading beside six writers')
      const reading = (async () => {
        for (let last = false; !last;) {
          patience.check()
          last = appended
          const page = await reader.readLog({ after: seen.length, limit: 50 })
          seen.push(...page)
          const { head } = await reader.log()
          assert.ok(head >= seen.length, `the head ${head} is not behind what can be read: ${seen.length}`)
          if (last && page.length > 0) last = false
        }
      })()
      await together([driver, second], 6, async (through, worker) => {
        for (let round = 0; round < 20; round++)
          await judge(through, { appends: [append('shared:1', 'any', events(1 + (round % 3))), append(`own:${worker}`)] })
      }).finally(() => (appended = true))
      await reading
      assertDense(seen)
      assert.deepEqual(
        seen.map(({ id }) => id),
        (await wholeLog(driver)).map(({ id }) => id),
      )
    },

    async 'an append is in the log for every driver when it is acknowledged'({ driver, reopen }) {
      const other = await reopen()
      for (let round = 0; round < 20; round++) {
        const { position } = await mustCommit(driver, appending('order:1', round))
        assert.equal((await other.log()).head, position)
        assert.equal((await other.readLog({ after: position - 1, limit: 10 })).length, 1)
        assert.equal((await other.readStream({ stream: 'order:1', direction: 'backwards', limit: 1 }))[0]?.version, round + 1)
      }
    },

    async 'sets over several streams in opposite orders neither block each other for good nor break apart'({ driver, reopen }) {
      const drivers = [driver, await reopen()]
      const accounts = ['account:1', 'account:2', 'account:3']
      const patience = new Patience('six writers on three accounts')
      await together(drivers, 6, async (through, worker) => {
        for (let done = 0; done < 8;) {
          patience.check()
          const order = worker % 2 ? accounts : accounts.toReversed()
          const versions = new Map((await through.listStreams({ limit: 10 })).map(({ stream, version }) => [stream, version]))
          const verdict = await judge(through, { appends: order.map((account) => append(account, versions.get(account) ?? 0)) })
          if (verdict.status === 'committed') done++
          else assert.equal(verdict.status, 'version-conflict')
        }
      })
      const log = await wholeLog(driver)
      assertDense(log)
      assert.deepEqual(
        (await driver.listStreams({ limit: 10 })).map(({ version }) => version),
        [48, 48, 48],
      )
      for (let index = 0; index < log.length; index += 3)
        assert.equal(new Set(log.slice(index, index + 3).map(({ stream }) => stream)).size, 3, 'the events of a set stand together')
    },

    async 'of copies of a set that arrive at the same time one is committed'({ driver, reopen }) {
      const drivers = [driver, await reopen()]
      const sets = Array.from({ length: 5 }, (_, index) => appending(`order:${index}`, 'any', events(2)))
      const verdicts = await together(drivers, 30, (through, worker) => judge(through, sets[worker % 5]!))
      for (let index = 0; index < 5; index++) {
        const statuses = verdicts.filter((_, worker) => worker % 5 === index).map(({ status }) => status)
        assert.deepEqual(statuses.toSorted(), ['committed', ...Array<string>(5).fill('duplicate-id')])
      }
      assertDense(await wholeLog(driver))
    },

    async 'of sets with the same command id that arrive at the same time one is committed, with events or without'({ driver, reopen }) {
      const drivers = [driver, await reopen()]
      for (const withEvents of [false, true]) {
        const verdicts = await together(drivers, 12, (through, worker) =>
          judge(through, {
            appends: withEvents ? [append(`order:${worker}`)] : [],
            receipt: { commandId: `command ${withEvents}`, target: `order:${worker}`, payloadHash: 'h', version: 0 },
          }),
        )
        assert.deepEqual(verdicts.map(({ status }) => status).toSorted(), ['committed', ...Array<string>(11).fill('receipt-exists')])
      }
    },

    async 'sets without events are committed beside each other and beside appends'({ driver, reopen }) {
      await makeCollection(driver)
      const drivers = [driver, await reopen()]
      const parallel = Math.max(2, driver.capabilities.parallelCommits)
      await together(drivers, 2 * parallel, async (through, worker) => {
        const claim = await through.processors.claim({ processor: `p:${worker}`, owner: 'me', ttlMs: 60_000, startAt: 0 })
        assert.ok(claim.claimed)
        for (let position = 1; position <= 10; position++) {
          const documents = Array.from({ length: 5 }, (_, index) => ({
            collection,
            key: `shared:${index}`,
            document: `{"by":${worker}}`,
            fields: [String(worker)],
            words: null,
          }))
          const checkpoint: CheckpointMove = { processor: `p:${worker}`, epoch: claim.epoch, position }
          // The same documents in opposite orders: a driver that locks as it goes would lock up.
          const set: WriteSet = { appends: [], checkpoint, documents: worker % 2 ? documents : documents.toReversed() }
          assert.equal((await judge(through, set)).status, 'committed')
          assert.equal((await judge(through, appending(`order:${worker}`, position - 1))).status, 'committed')
        }
      })
      assert.deepEqual(
        (await driver.processors.list()).map(({ position }) => position),
        Array<number>(2 * parallel).fill(10),
      )
      assert.equal(await driver.documents.count(collection), 5)
      assertDense(await wholeLog(driver))
    },

    // Else a loop of awaited calls would keep timers and sockets waiting, and with them whoever has to pause before trying again.
    async 'whoever awaits one call after the other lets the event loop go on'({ driver }) {
      const calls = [() => driver.log(), () => driver.commit([appending('order:1')]), () => driver.readLog({ after: 0, limit: 1 })]
      for (const call of calls) {
        const patience = new Patience('a timer of a millisecond', 5_000)
        const timer = AbortSignal.timeout(1)
        while (!timer.aborted) {
          patience.check()
          await call()
        }
      }
    },

    async 'reads and single documents go on while others append'({ driver }) {
      await makeCollection(driver)
      await Promise.all(
        Array.from({ length: 10 }, async (_, index) => {
          const key = `k${index}`
          assert.equal((await judge(driver, appending(`order:${index}`))).status, 'committed')
          assert.equal((await judge(driver, writing({ collection, key, document: '{}', fields: [''], words: null }))).status, 'committed')
          assert.equal((await driver.readStream({ stream: `order:${index}`, direction: 'forwards', limit: 10 })).length, 1)
          assert.equal((await driver.documents.get(collection, [key])).get(key), '{}')
        }),
      )
    },
  },
}

/** The events of the set stand where the verdict says, one behind the other, in streams of the versions that it says. */
function assertTold(log: readonly RecordedEvent[], set: WriteSet, { firstPosition, position, versions }: Committed): void {
  const ids = set.appends.flatMap((one) => one.events.map(({ id }) => id))
  assert.deepEqual(
    log.slice(firstPosition - 1, position).map(({ id }) => id),
    ids,
  )
  for (const [index, { stream, events: appended }] of set.appends.entries()) {
    const last = log.slice(firstPosition - 1, position).find(({ id }) => id === appended.at(-1)!.id)
    assert.deepEqual([last?.stream, last?.version], [stream, versions[index]])
  }
}
