import { describe, expect, test } from 'vitest'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { Job } from './killed-process.ts'
import type { Place } from './killing.ts'
import { doneIn, expectEach, freshDatabase, freshFile, jobsOf, openPlace, retryBlamed, strike, Workers } from './killing.ts'

function scenarios(fresh: () => Promise<Place>): void {
  const asked = (job: Job) => ({ stream: `asked:${job.key}`, events: { type: 'Asked', data: job } })

  test('killed and stopped again and again, two processes do each thing once, in order per key', { timeout: 120_000 }, async () => {
    const place = await fresh()
    const store = await openPlace(place)
    const jobs = jobsOf(1_500, 60)
    for (let next = 0; next < jobs.length; next += 100) await store.appendAll(jobs.slice(next, next + 100).map(asked))
    const workers = new Workers(2, place)
    await strike(workers, 6, async () => (await store.log()).head)
    await eventually(async () => {
      await retryBlamed(store)
      expectEach(await doneIn(store), jobs)
    }, 120_000)
    expect(workers.ended).toBeGreaterThanOrEqual(6)
    await eventually(async () => expect((await new DeadLetters(store).list()).documents).toEqual([]))
  })

  for (const killsAt of [1, 2])
    test(
      `a message that kills the process at attempt ${killsAt} is recognised and parked, and the others go on`,
      { timeout: 120_000 },
      async () => {
        const place = await fresh()
        const store = await openPlace(place)
        const jobs = jobsOf(60, 20).map((job) => (job.n === 13 ? { ...job, killsAt, fails: 1 } : { ...job, fails: 0 }))
        await store.appendAll(jobs.map(asked))
        const workers = new Workers(1, place)
        const letters = new DeadLetters(store)
        await eventually(
          async () => expect((await letters.list({ state: 'parked' })).documents).toMatchObject([{ error: { code: 'process-ended' } }]),
          90_000,
        )
        // It took these deaths to be sure, and there are no more.
        expect(workers.ended).toBeLessThanOrEqual(6)
        const key = jobs[13]!.key
        await eventually(async () => {
          const done = await doneIn(store)
          delete done[key]
          expectEach(
            done,
            jobs.filter((job) => job.key !== key),
          )
        })
        await eventually(async () => {
          const held = (await letters.list({ key })).documents
          expect(held.map(({ state }) => state)).toEqual(['parked', 'waiting', 'waiting'])
        })
      },
    )
}

describe('killed processes on SQLite', () => scenarios(freshFile))
describeOnPostgres('killed processes on PostgreSQL', (url) => scenarios(async () => freshDatabase(url)))
