import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../../src/observability/log.ts'
import { LogGapError } from '../../../src/storage/errors.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import { TransferError } from '../../../src/storage/transfer/errors.ts'
import { exportEvents } from '../../../src/storage/transfer/export-events.ts'
import { importEvents } from '../../../src/storage/transfer/import-events.ts'
import type { FreshStorage } from '../../support/stores.ts'
import { freshPostgres, freshSqlite } from '../../support/stores.ts'
import { collect } from './collect.ts'
import { describeOnPostgres } from '../../support/postgres.ts'

describe('on SQLite', () => suite(freshSqlite))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgres(url)))

function suite(fresh: FreshStorage): void {
  async function storeWith(count: number): Promise<EventStore> {
    const store = await EventStore.open(await fresh(), { log: silentLog, source: 'test' })
    onTestFinished(() => store.close())
    for (let n = 0; n < count; n += 500)
      await store.appendAll(
        Array.from({ length: Math.min(500, count - n) }, (_, index) => ({
          stream: `thing:${(n + index) % 7}`,
          events: { type: 'Happened', data: { n: n + index, text: 'späße 🌊 \u2028' } },
        })),
      )
    return store
  }

  test('an export imported into an empty store gives the same log, to the last field', async () => {
    const store = await storeWith(1_500)
    await store.append('order:1', {
      type: 'OrderPlaced',
      data: { list: [1, 2.5, null], nested: { '': '' } },
      id: 'my id',
      source: 'urn:elsewhere',
      time: new Date('1969-07-20T20:17:40.123Z'),
      schemaVersion: 3,
      correlationId: 'correlation',
      causationId: 'causation',
      metadata: { user: 'ada', deep: { a: [1] }, traceparent: '00-1', subject: 'mine', UPPER: true, count: 7, share: 0.5 },
      tags: ['course:c-7', 'student:s-1'],
    })
    const file = join(await freshDirectory(), 'log.ndjson')
    expect(await exportEvents(store, file)).toEqual({ exported: 1_501, position: 1_501, upTo: 1_501 })

    const copy = await storeWith(0)
    expect(await importEvents(copy, file)).toMatchObject({ imported: 1_501, bad: 0, bytesTotal: (await readFile(file)).length })
    expect(await collect(copy.readLog())).toEqual(await collect(store.readLog()))
  })

  test('an export ends where the log ended when it began', async () => {
    const store = await storeWith(2_000)
    let appended = false
    const { exported } = await exportEvents(store, sink(), {
      onProgress: () => {
        if (!appended) void store.append('late', { type: 'Happened', data: {} })
        appended = true
      },
    })
    expect({ exported, appended }).toEqual({ exported: 2_000, appended: true })
  })

  test('pages with large events are small, and nothing is left out', async () => {
    const store = await storeWith(0)
    for (let n = 0; n < 40; n++) await store.append('large', { type: 'Happened', data: 'x'.repeat(n % 2 === 0 ? 10 : 300_000) })
    expect(await exportEvents(store, sink())).toMatchObject({ exported: 40 })
  })
}

test('a hole in the log ends the export, and leaves no file that looks complete', async () => {
  const store = await storeWithOne()
  for (let n = 0; n < 10; n++) await store.append('one', { type: 'Happened', data: {} })
  await store.driver.transaction((sql) => sql.query('DELETE FROM headwater_events WHERE position = 7'))
  const directory = await freshDirectory()
  await expect(exportEvents(store, join(directory, 'log.ndjson'))).rejects.toThrow(LogGapError)
  expect(await readdir(directory)).toEqual([])
})

test('a file name that ends with .gz packs', async () => {
  const store = await storeWithOne()
  const file = join(await freshDirectory(), 'log.ndjson.gz')
  await exportEvents(store, file)
  expect(JSON.parse(gunzipSync(await readFile(file)).toString())).toMatchObject({ specversion: '1.0', subject: 'one' })
})

test('a file is replaced when the new one is complete, also behind a link; a device is written to', async () => {
  const store = await storeWithOne()
  const directory = await freshDirectory()
  const [file, link] = [join(directory, 'log.ndjson'), join(directory, 'link')]
  await writeFile(file, 'old')
  await symlink(file, link)
  await exportEvents(store, link)
  expect(await readFile(file, 'utf8')).toContain('"subject":"one"')
  expect((await readdir(directory)).toSorted()).toEqual(['link', 'log.ndjson'])
  expect(await exportEvents(store, '/dev/null')).toMatchObject({ exported: 1 })
})

test('a target that fails is named', async () => {
  const store = await storeWithOne()
  await expect(exportEvents(store, '/nowhere/log.ndjson')).rejects.toThrow(/^cannot write \/nowhere\/log.ndjson: ENOENT/)
  const full = new Writable({ write: (_chunk, _encoding, done) => done(new Error('no space left')) })
  await expect(exportEvents(store, full)).rejects.toThrow(TransferError)
})

test('a signal ends the export, and the file is not there', async () => {
  const store = await storeWithOne()
  const directory = await freshDirectory()
  await expect(exportEvents(store, join(directory, 'log.ndjson'), { signal: AbortSignal.abort() })).rejects.toThrow('aborted')
  expect(await readdir(directory)).toEqual([])
})

async function storeWithOne(): Promise<EventStore> {
  const store = await EventStore.open(await freshSqlite(), { log: silentLog })
  onTestFinished(() => store.close())
  await store.append('one', { type: 'Happened', data: {} })
  return store
}

async function freshDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-export-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

function sink(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => void setImmediate(done) })
}
