import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import type { SpilledRow } from '../../src/projection/spill-files.ts'
import { SpillFiles } from '../../src/projection/spill-files.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'headwater-test-'))
  vi.stubEnv('TMPDIR', directory)
  return async () => {
    vi.unstubAllEnvs()
    await rm(directory, { recursive: true, force: true })
  }
})

function begin(epoch = 1): SpillFiles {
  const files = SpillFiles.begin({ name: 'some build', epoch, partitions: 4 })
  onTestFinished(() => files.close())
  return files
}

function resume(epoch: number): SpillFiles | undefined {
  const files = SpillFiles.resume({ name: 'some build', epoch, partitions: 4 })
  onTestFinished(() => files?.close())
  return files
}

function rowsOf(files: SpillFiles, partition: number): readonly SpilledRow[] {
  return [...files.read(partition)].flat()
}

const rows = (count: number, what = 'row'): SpilledRow[] => Array.from({ length: count }, (_, number) => [what, number, 'ä\n\u2028"'])

test('rows come back by partition, in the order in which they were added', () => {
  const files = begin()
  for (const [number, row] of rows(50_000).entries()) files.add(number % 2 === 0 ? 1 : 3, row)
  expect(rowsOf(files, 0)).toEqual([])
  expect(rowsOf(files, 1)).toEqual(rows(50_000).filter((_, number) => number % 2 === 0))
  expect(rowsOf(files, 3)).toEqual(rows(50_000).filter((_, number) => number % 2 === 1))
})

test('what was saved is gone on with under the next lease, and what came later is not', () => {
  const first = begin()
  for (const row of rows(1_000)) first.add(0, row)
  first.save(1_000)
  for (const row of rows(1_000, 'unsaved')) first.add(0, row)
  const second = resume(2)!
  expect(second.position).toBe(1_000)
  for (const row of rows(10, 'later')) second.add(0, row)
  second.save(1_010)
  expect(rowsOf(resume(3)!, 0)).toEqual([...rows(1_000), ...rows(10, 'later')])
})

test('somebody who was paused and writes on disturbs nobody', () => {
  const paused = begin()
  for (const row of rows(100)) paused.add(0, row)
  paused.save(100)
  const next = resume(2)!
  for (const row of rows(100, 'next')) next.add(0, row)
  next.save(200)
  for (const row of rows(500, 'late')) paused.add(0, row)
  paused.save(900)
  expect(resume(3)?.position).toBe(200)
  expect(rowsOf(resume(3)!, 0)).toEqual([...rows(100), ...rows(100, 'next')])
})

test('files that are not as they were left are of no use', async () => {
  const files = begin()
  for (const row of rows(1_000)) files.add(2, row)
  files.save(1_000)
  files.close()
  const [build] = await readdir(directory)
  await truncate(join(directory, build!, '1-2'), 100)
  expect(resume(2)).toBeUndefined()
})

test('they are gone when they were removed, with those beside them', async () => {
  const files = begin()
  const beside = files.beside()
  for (const row of rows(100)) beside.add(0, row)
  expect(rowsOf(beside, 0)).toEqual(rows(100))
  beside.remove()
  files.remove()
  expect(await readdir(directory)).toEqual([])
  expect(resume(2)).toBeUndefined()
})
