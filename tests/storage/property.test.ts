import assert from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'vitest'
import { isAskedFor } from '../../src/storage/event-query.ts'
import { commitPatiently } from '../../src/conformance/storage/patience.ts'
import { assertDense, assertRecorded, wholeLog } from '../../src/conformance/storage/recorded.ts'
import type { RecordedEvent } from '../../src/message/event.ts'
import type { Storage, StorageDriver } from '../../src/storage/port.ts'
import type { Committed, Verdict, WriteSet } from '../../src/storage/write-set.ts'
import type { Plan, Reads } from '../support/append-plan.ts'
import { plan, reads, setsOf } from '../support/append-plan.ts'
import { isMet, MemoryStore } from '../support/memory-driver.ts'
import { describeOnEveryStore } from '../support/stores.ts'

// When all writers are done, the log says in which order it happened: in that order the model must give the same verdicts and hold the same
// log, and each refusal must have been right at some moment while its call went on.

interface Judged {
  readonly set: WriteSet
  readonly verdict: Verdict
  /** The log was at least this long when the set was sent, and at most that long when the verdict came. */
  readonly headBefore: number
  readonly headAfter: number
}

/** All writers at once, each through one of the drivers. */
async function carryOut(writers: Plan, drivers: readonly StorageDriver[]): Promise<readonly Judged[]> {
  let acknowledged = 0
  const judged: Judged[] = []
  await Promise.all(
    writers.map(async (calls, index) => {
      const driver = drivers[index % drivers.length]!
      const known = new Map<string, number>()
      for (const call of calls) {
        const sets = setsOf(call, known)
        const headBefore = acknowledged
        const verdicts = await commitPatiently(driver, sets)
        assert.equal(verdicts.length, sets.length)
        const headAfter = (await driver.log()).head
        for (const [at, set] of sets.entries()) {
          const verdict = verdicts[at]!
          judged.push({ set, verdict, headBefore, headAfter })
          if (verdict.status === 'committed') {
            acknowledged = Math.max(acknowledged, verdict.position)
            for (const [place, { stream }] of set.appends.entries()) known.set(stream, verdict.versions[place]!)
          } else if (verdict.status === 'version-conflict') known.set(verdict.stream, verdict.actual)
        }
      }
    }),
  )
  return judged
}

/** Carries the committed sets out again on the model, in the order of the log, and looks for the moment of each refusal. */
async function replay(judged: readonly Judged[], log: readonly RecordedEvent[]): Promise<StorageDriver> {
  const model = new MemoryStore()
  const driver = model.driver()
  const unexplained = new Set(judged.filter(({ verdict }) => verdict.status !== 'committed'))
  const explain = (): void => {
    for (const refusal of unexplained)
      if (refusal.headBefore <= model.log.length && model.log.length <= refusal.headAfter && isRight(refusal, model))
        unexplained.delete(refusal)
  }
  explain()
  const committed = judged.flatMap(({ set, verdict }) => (verdict.status === 'committed' ? [{ set, verdict }] : []))
  for (const { set, verdict } of committed.toSorted((left, right) => left.verdict.firstPosition - right.verdict.firstPosition)) {
    const [repeated] = await driver.commit([set])
    assert.deepEqual(plain(verdict), repeated)
    explain()
  }
  assertRecorded(log, model.log)
  assert.deepEqual([...unexplained], [], 'each refusal was right at some moment of its call')
  return driver
}

function isRight({ set, verdict }: Judged, model: MemoryStore): boolean {
  if (model.judge(set)?.status !== verdict.status) return false
  // Of several streams that are not as expected any may be named, and any event that a condition rules out.
  if (verdict.status === 'version-conflict') {
    const { stream, expected, actual } = verdict
    const isNamed = set.appends.some((append) => append.stream === stream && append.expectedVersion === expected)
    return isNamed && actual === (model.streams.get(stream)?.length ?? 0) && !isMet(expected, actual)
  }
  if (verdict.status === 'condition-failed') {
    const breaking = model.log[verdict.position - 1]
    return (
      breaking !== undefined &&
      set.conditions!.some(({ query, after }) => breaking.position > after && isAskedFor(query, breaking.stream, breaking))
    )
  }
  return true
}

function plain({ status, firstPosition, position, versions }: Committed): Committed {
  return { status, firstPosition, position, versions: [...versions] }
}

async function check(storage: Storage, writers: Plan, { ofStreams, ofLog }: Reads): Promise<void> {
  const drivers = [await storage.open({ migrate: true }), await storage.open({ migrate: true })]
  try {
    const judged = await carryOut(writers, drivers)
    for (const driver of drivers) {
      const log = await wholeLog(driver)
      assertDense(log)
      const model = await replay(judged, log)
      for (const range of ofStreams) assertRecorded(await driver.readStream(range), await model.readStream(range), JSON.stringify(range))
      for (const range of ofLog) assertRecorded(await driver.readLog(range), await model.readLog(range), JSON.stringify(range))
    }
  } finally {
    await Promise.all(drivers.map((driver) => driver.close()))
  }
}

describeOnEveryStore('whatever concurrent writers do', (fresh) => {
  test('the log is one that they could have written in turn, and every verdict is true', async () => {
    const property = fc.asyncProperty(plan, reads, async (writers, what) => check(await fresh(), writers, what))
    // Another run meets in another way, so a smaller example would be luck.
    await fc.assert(property, { numRuns: 25, endOnFailure: true })
  })
})
