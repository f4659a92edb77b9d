import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import type { NewEvent } from '../../../src/message/event.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import { BadLineError, TransferError } from '../../../src/storage/transfer/errors.ts'
import type { BadLine, ImportProgress } from '../../../src/storage/transfer/progress.ts'
import type { ImportOptions } from '../../../src/storage/transfer/import-events.ts'
import { importEvents } from '../../../src/storage/transfer/import-events.ts'
import { collect } from './collect.ts'
import { freshSqlite } from '../../support/stores.ts'

async function openStore(): Promise<EventStore> {
  const store = await EventStore.open(await freshSqlite(), { log: silentLog })
  onTestFinished(() => store.close())
  return store
}

async function* inPieces(content: string | Uint8Array, pieceBytes = 64): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(content)
  for (let start = 0; start < bytes.length; start += pieceBytes) yield bytes.subarray(start, start + pieceBytes)
}

function lineOf(id: string, more: Readonly<Record<string, unknown>> = {}): string {
  return `${JSON.stringify({ specversion: '1.0', id, source: 'test', type: 'Happened', subject: `thing:${id.at(-1)}`, data: { id }, ...more })}\n`
}

const linesOf = (from: number, count: number): string => Array.from({ length: count }, (_, index) => lineOf(`e-${from + index}`)).join('')

async function idsOf(store: EventStore): Promise<readonly string[]> {
  return (await collect(store.readLog())).map(({ id }) => id)
}

/** Imports and notes what was reported. */
async function importInto(store: EventStore, content: string, options: ImportOptions = {}) {
  const bad: BadLine[] = []
  const progress: ImportProgress[] = []
  const result = await importEvents(store, inPieces(content), {
    ...options,
    onBadLine: (line) => bad.push(line),
    onProgress: (now) => progress.push(now),
  })
  return { result, bad, progress }
}

test('events come into the log in the order of the file, whatever their streams are', async () => {
  const store = await openStore()
  const { result, progress } = await importInto(store, linesOf(0, 25), { batchSize: 10 })
  expect(result).toEqual({
    imported: 25,
    skipped: 0,
    bad: 0,
    bytesRead: linesOf(0, 25).length,
    bytesTotal: undefined,
    position: 25,
    interrupted: false,
  })
  expect(progress.map(({ imported }) => imported)).toEqual([10, 20, 25])
  expect(await idsOf(store)).toEqual(Array.from({ length: 25 }, (_, index) => `e-${index}`))
  expect((await collect(store.readStream('thing:3'))).map(({ id, version }) => [id, version])).toEqual([
    ['e-3', 1],
    ['e-13', 2],
    ['e-23', 3],
  ])
})

test('gzip is recognised, also when it comes byte by byte', async () => {
  const store = await openStore()
  const packed = gzipSync(linesOf(0, 5))
  expect(await importEvents(store, inPieces(packed, 1))).toMatchObject({ imported: 5, bytesRead: packed.length })
  expect(await importEvents(store, inPieces(Buffer.concat([gzipSync(linesOf(5, 5)), gzipSync(linesOf(10, 5))])))).toMatchObject({
    imported: 10,
  })
})

test('texts are taken too, and nothing at all', async () => {
  const store = await openStore()
  async function* texts(): AsyncGenerator<string> {
    yield linesOf(0, 2)
    yield linesOf(2, 2)
  }
  expect(await importEvents(store, texts())).toMatchObject({ imported: 4 })
  expect(await importEvents(store, inPieces(''))).toMatchObject({ imported: 0, position: 4 })
})

test('packed data that breaks off: what could be read is stored, and the caller is told', async () => {
  const packed = gzipSync(Array.from({ length: 5_000 }, (_, n) => lineOf(`e-${n}`, { data: { random: Math.random() } })).join(''))
  const broken = (): AsyncIterable<Uint8Array> => inPieces(packed.subarray(0, packed.length >> 1), 4096)
  const store = await openStore()
  await expect(importEvents(store, broken())).rejects.toThrow(TransferError)
  const stored = (await store.log()).head
  expect(stored).toBeGreaterThan(2_000)
  expect(await importEvents(store, inPieces(packed))).toMatchObject({ imported: 5_000 - stored, skipped: stored })

  const strict = await openStore()
  await expect(importEvents(strict, broken(), { strict: true, batchSize: 1_000 })).rejects.toThrow(TransferError)
  expect((await strict.log()).head % 1_000).toBe(0)
})

test('an event that stands twice in the file is skipped, in the same batch and later, and another of its id is a bad line', async () => {
  const store = await openStore()
  const content =
    lineOf('e-1') +
    lineOf('e-1') +
    lineOf('e-1', { data: 'another' }) +
    linesOf(2, 10) +
    lineOf('e-1') +
    lineOf('e-1', { subject: 'elsewhere' })
  const { result, bad } = await importInto(store, content, { batchSize: 5 })
  expect(result).toMatchObject({ imported: 11, skipped: 2, bad: 2 })
  expect(bad.map(({ line }) => line)).toEqual([3, 15])
})

test('the order of keys makes no other event, and neither does another source with the same id', async () => {
  const store = await openStore()
  const content = lineOf('e', { data: { a: 1, b: 2 } }) + lineOf('e', { data: { b: 2, a: 1 } }) + lineOf('e', { source: 'elsewhere' })
  expect((await importInto(store, content)).result).toMatchObject({ imported: 2, skipped: 1, bad: 0 })
})

test('what the store would refuse is a bad line of its own, and costs nobody else', async () => {
  const store = await openStore()
  const worst = [
    lineOf('a', { subject: 'x'.repeat(600) }),
    lineOf('b', { data: '\u0000' }),
    lineOf('c', { time: 'yesterday' }),
    lineOf('d', { type: '' }),
    lineOf('e', { data_base64: 'AAAA', data: undefined }),
    lineOf('f').replace('"data":{"id":"f"}', '"data":1e400'),
    lineOf('g', { data: 'x'.repeat(1_100_000) }),
    '[]\n',
    'null\n',
  ]
  const { result, bad } = await importInto(store, lineOf('before') + worst.join('') + lineOf('after'))
  expect(result).toMatchObject({ imported: 2, bad: worst.length })
  expect(bad.map(({ line }) => line)).toEqual(worst.map((_, index) => index + 2))
  expect(await idsOf(store)).toEqual(['before', 'after'])
})

test('strict: nothing of the batch with the bad line is stored, everything before it is', async () => {
  const store = await openStore()
  const content = `${linesOf(0, 25)}no JSON\n${linesOf(25, 25)}`
  const failure = await importInto(store, content, { batchSize: 10, strict: true }).catch((error: unknown) => error)
  expect(failure).toBeInstanceOf(BadLineError)
  expect(failure).toMatchObject({ line: 26, progress: { imported: 20 }, message: expect.stringMatching(/^line 26: /) })
  expect((await store.log()).head).toBe(20)
})

test('strict: an id that is stored with another content stops the import too', async () => {
  const store = await openStore()
  await store.append('thing:7', { type: 'Happened', id: 'e-17', source: 'test', data: 'another' })
  await expect(importInto(store, linesOf(0, 40), { batchSize: 10, strict: true })).rejects.toMatchObject({
    code: 'bad-line',
    line: 18,
    progress: { imported: 10 },
  })
  expect((await store.log()).head).toBe(11)
})

test('streams can be named for events that have none, and renamed; a map that throws makes a bad line', async () => {
  const store = await openStore()
  const content = lineOf('a-1') + lineOf('a-2', { subject: undefined }) + lineOf('a-3', { type: 'Refused' })
  const { result, bad } = await importInto(store, content, {
    stream: 'rest',
    map: ({ stream, event }: { stream: string | undefined; event: NewEvent }) => {
      if (event.type === 'Refused') throw new Error('not this one')
      return { stream: `imported:${stream}`, event: { ...event, type: `Old${event.type}` } }
    },
  })
  expect(result).toMatchObject({ imported: 2, bad: 1 })
  expect(bad).toEqual([{ line: 3, reason: 'not this one' }])
  expect((await collect(store.readLog())).map(({ stream, type }) => [stream, type])).toEqual([
    ['imported:thing:1', 'OldHappened'],
    ['imported:rest', 'OldHappened'],
  ])
})

test('a signal ends the import after a batch', async () => {
  const store = await openStore()
  const controller = new AbortController()
  const result = await importEvents(store, inPieces(linesOf(0, 100)), {
    batchSize: 10,
    signal: controller.signal,
    onProgress: ({ imported }) => {
      if (imported >= 30) controller.abort()
    },
  })
  expect(result.interrupted).toBe(true)
  expect(result.imported).toBe((await store.log()).head)
  expect(result.imported % 10).toBe(0)
  expect(result.imported).toBeGreaterThanOrEqual(30)
  expect(result.imported).toBeLessThan(100)
  expect(await importEvents(store, inPieces(linesOf(0, 100)))).toMatchObject({ imported: 100 - result.imported, skipped: result.imported })
})

test('a batch is stored when it has enough bytes, however few events they are', async () => {
  const store = await openStore()
  const content = Array.from({ length: 12 }, (_, n) => lineOf(`e-${n}`, { data: 'x'.repeat(1_000_000) })).join('')
  const progress: number[] = []
  await importEvents(store, inPieces(content, 65_536), { onProgress: ({ imported }) => progress.push(imported) })
  expect(progress).toEqual([5, 10, 12])
})

test('a file that cannot be read', async () => {
  const store = await openStore()
  await expect(importEvents(store, '/nowhere/events.ndjson')).rejects.toThrow(/^cannot read \/nowhere\/events.ndjson: ENOENT/)
})
