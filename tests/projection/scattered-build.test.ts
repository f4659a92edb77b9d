import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import type { Metrics } from '../../src/observability/metrics.ts'
import type { AnyProjection } from '../../src/projection/projection.ts'
import { defineService } from '../../src/service/service.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Storage } from '../../src/storage/port.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import { dropSchema, freshSchema } from '../support/stores.ts'
import { expectedVisits, visitAt, visitCount, visits } from './visits.ts'

const temporary = tmpdir()

/** What each event costs the process that is killed, in milliseconds: so that half of the log takes longer than a second; so that it is not done before anybody looks. */
const slowly = '0.03'
const quickly = '0.005'

interface Place {
  readonly storage: Storage
  readonly args: readonly string[]
}

function scenarios(fresh: () => Promise<Place>): void {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(temporary, 'headwater-test-'))
    vi.stubEnv('TMPDIR', directory)
    return async () => {
      vi.unstubAllEnvs()
      await rm(directory, { recursive: true, force: true })
    }
  })

  test('documents of scattered keys are complete, and nothing stays in the temporary directory', { timeout: 120_000 }, async () => {
    const { storage } = await fresh()
    await fill(storage)
    const usedFiles = watchDirectory(directory)
    const app = await startForTest(defineService('visits', { projections: [visits('visitor')] }), { storage })
    await complete(app, visits('visitor'))
    expect(usedFiles()).toBe(true)
    await expectDocuments(storage, 'visitor')
    expect(await readdir(directory)).toEqual([])
    await app.store.append('visits', visitAt(visitCount))
    await eventually(() => expect(app.status().processors[0]).toMatchObject({ state: 'live', position: visitCount + 1 }))
  })

  for (const by of ['visitor', 'room'])
    test(`a build by ${by} that was killed goes on where it was`, { timeout: 120_000 }, async () => {
      const { storage, args } = await fresh()
      await fill(storage)
      await killAt([by, slowly, ...args], (position) => position > visitCount * 0.8)
      const positions: number[] = []
      const gauge: Metrics['gauge'] = (name, value) => void (name === 'headwater_processor_position' && positions.push(value))
      const metrics: Metrics = { gauge, count: () => undefined, duration: () => undefined }
      const app = await startForTest(defineService('visits', { projections: [visits(by)] }), { storage, metrics })
      // The checkpoint may still be at the beginning; then what was put aside is further: it is saved each second, and half of the log takes longer than that.
      const first = await eventually(() => positions.find((position) => position > 0) ?? Promise.reject(new Error('it stands still')))
      expect(first).toBeGreaterThan(visitCount * 0.1)
      await complete(app, visits(by))
      await expectDocuments(storage, by)
      expect(await readdir(directory)).toEqual([])
    })

  test('one whose files are gone begins anew, and what it had written counts for nothing', { timeout: 120_000 }, async () => {
    const { storage, args } = await fresh()
    await fill(storage)
    const store = await EventStore.open(storage)
    onTestFinished(() => store.close())
    await killAt(['visitor', quickly, ...args], async () => (await store.driver.documents.count('visits-by-visitor@1.1')) > 0)
    expect(await store.driver.documents.count('visits-by-visitor@1.1')).toBeGreaterThan(0)
    for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true })
    const app = await startForTest(defineService('visits', { projections: [visits('visitor')] }), { storage })
    await complete(app, visits('visitor'))
    await expectDocuments(storage, 'visitor')
  })
}

async function fill(storage: Storage): Promise<void> {
  const store = await EventStore.open(storage)
  for (let number = 0; number < visitCount; number += 5_000)
    await store.append(
      'visits',
      Array.from({ length: 5_000 }, (_, index) => visitAt(number + index)),
    )
  await store.close()
}

/** Lets another process build until `isTime`, and kills it. */
async function killAt(args: readonly string[], isTime: (position: number) => boolean | Promise<boolean>): Promise<void> {
  const program = join(import.meta.dirname, 'build-process.ts')
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) if (await isTime(Number(line))) break
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

async function complete(app: Awaited<ReturnType<typeof startForTest>>, projection: AnyProjection): Promise<void> {
  await eventually(async () => {
    const collections = await app.store.driver.documents.list(projection.name)
    expect(collections.map(({ state }) => state)).toEqual(['live'])
  }, 120_000)
}

async function expectDocuments(storage: Storage, by: string): Promise<void> {
  const store = await EventStore.open(storage)
  const expected = expectedVisits(by)
  const id = `visits-by-${by}@1.1`
  expect(await store.driver.documents.count(id)).toBe(expected.size)
  const keys = [...expected.keys()]
  for (let from = 0; from < keys.length; from += 10_000) {
    const documents = await store.driver.documents.get(id, keys.slice(from, from + 10_000))
    for (const [key, document] of documents) expect(JSON.parse(document)).toEqual(expected.get(key))
  }
  await store.close()
}

function watchDirectory(directory: string): () => boolean {
  let used = false
  const timer = setInterval(
    () =>
      void readdir(directory).then(
        (names) => (used ||= names.length > 0),
        () => undefined, // The test is over.
      ),
    10,
  )
  onTestFinished(() => clearInterval(timer))
  return () => used
}

describe('a build of documents on SQLite', () =>
  scenarios(async () => {
    const directory = await mkdtemp(join(temporary, 'headwater-test-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const path = join(directory, 'test.db')
    return { storage: sqlite(path), args: ['sqlite', path] }
  }))

describeOnPostgres('a build of documents on PostgreSQL', (url) =>
  scenarios(async () => {
    const schema = freshSchema()
    onTestFinished(() => dropSchema(url, schema))
    return { storage: postgres(url, { schema }), args: ['postgres', url, schema] }
  }),
)
