import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { FreshStore } from './program.ts'
import { eventLine, eventLines, freshDirectory, freshPostgresDatabase, freshSqliteFile, jsonLines, runCli, startCli } from './program.ts'

describe('on SQLite', () => suite(freshSqliteFile))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgresDatabase(url)))

function suite(fresh: FreshStore): void {
  test('what was imported is exported, and imported elsewhere is the same log', async () => {
    const directory = await freshDirectory()
    const [first, second] = [await fresh(), await fresh()]
    const input =
      eventLine(0, { correlationid: 'c-1', schemaversion: 2, time: '2026-03-15T12:00:00.123Z', region: 'EU' }) +
      eventLines(3_000).slice(eventLine(0).length)
    const imported = await runCli(['import', '-', '--storage', first, '--json'], { input })
    expect(imported).toMatchObject({ exitCode: 0, stderr: '' })
    expect(jsonLines(imported.stdout)).toMatchObject([{ imported: 3_000, skipped: 0, bad: 0, position: 3_000, interrupted: false }])

    const packed = join(directory, 'log.ndjson.gz')
    expect(await runCli(['export', '--output', packed, '--storage', first])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining('3,000 events written'),
    })
    expect((await readFile(packed)).subarray(0, 2)).toEqual(Buffer.from([0x1f, 0x8b]))
    expect(await runCli(['import', packed, '--storage', second])).toMatchObject({ exitCode: 0 })

    const log = (storage: string) => runCli(['log', '--json', '--storage', storage])
    const [before, after] = [await log(first), await log(second)]
    expect(after.stdout).toBe(before.stdout)
    const events = jsonLines(before.stdout)
    expect(events.map(({ position }) => position)).toEqual(Array.from({ length: 3_000 }, (_, index) => index + 1))
    expect(events[0]).toMatchObject({
      correlationId: 'c-1',
      schemaVersion: 2,
      time: '2026-03-15T12:00:00.123Z',
      metadata: { region: 'EU' },
      version: 1,
    })
    expect((await runCli(['export', '--storage', second])).stdout).toBe((await runCli(['export', '--storage', first])).stdout)
  })

  test('an import that is killed half-way is completed by running it again', async () => {
    const storage = await fresh()
    const count = 60_000
    const lines = eventLines(count)
    const half = lines.length >> 1
    await runCli(['migrate', '--storage', storage])

    const child = startCli(['import', '-', '--storage', storage])
    child.stdin.write(lines.slice(0, half))
    await eventually(async () => expect((await runCli(['streams', '--json', '--storage', storage])).stdout).not.toBe(''))
    // It cannot come to its end: the last lines are never given to it.
    child.stdin.write(lines.slice(half, -1_000))
    await delay(20)
    child.kill('SIGKILL')
    await once(child, 'close')

    const again = await runCli(['import', '-', '--storage', storage, '--json'], { input: gzipSync(lines) })
    const [{ imported, skipped } = {}] = jsonLines<{ imported?: number; skipped?: number }>(again.stdout)
    expect(imported! + skipped!).toBe(count)
    expect(skipped).toBeGreaterThan(0)
    expect(imported).toBeGreaterThan(0)

    const ids = jsonLines<{ id: string }>((await runCli(['log', '--json', '--storage', storage])).stdout).map(({ id }) => id)
    expect(ids).toEqual(Array.from({ length: count }, (_, n) => `event-${n}`))
    expect(await runCli(['doctor', '--full', '--storage', storage])).toMatchObject({ exitCode: 0 })
  }, 120_000)

  test('Ctrl-C ends an import after a batch, says what was imported and exits with 130', async () => {
    const storage = await fresh()
    const child = startCli(['import', '-', '--storage', storage, '--batch-size', '100'])
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
    child.stdin.write(eventLines(450)) // and then nothing, as a pipe whose writer takes its time
    await eventually(async () => {
      const { stdout: log } = await runCli(['log', '--after', '399', '--limit', '1', '--json', '--storage', storage])
      expect(log).not.toBe('')
    })
    child.kill('SIGINT')
    const exitCode = await new Promise((resolve) => child.on('close', resolve))
    expect({ exitCode, stderr: stderr() }).toEqual({ exitCode: 130, stderr: '' })
    expect(stdout()).toMatch(/^400 events imported, .*interrupted: run it again to go on\n$/)
  })

  test('bad lines are reported with their number, and the rest is imported', async () => {
    const storage = await fresh()
    const input = [
      eventLine(1),
      'no JSON\n',
      '\n',
      eventLine(2, { specversion: '0.3' }),
      eventLine(3, { subject: undefined }),
      eventLine(4),
    ].join('')
    const { exitCode, stdout, stderr } = await runCli(['import', '-', '--storage', storage], { input })
    expect(exitCode).toBe(1)
    expect(stdout).toContain('2 events imported, 0 stored already, 3 bad lines')
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(/^line 2: .*not valid JSON/),
      expect.stringMatching(/^line 4: .*specversion/),
      expect.stringMatching(/^line 5: .*subject/),
      '',
    ])
    const again = await runCli(['import', '-', '--storage', storage, '--stream', 'others', '--json'], { input })
    expect(jsonLines(again.stdout)).toMatchObject([{ imported: 1, skipped: 2, bad: 2 }])
    expect(jsonLines(again.stderr)).toEqual([
      { line: 2, reason: expect.any(String) },
      { line: 4, reason: expect.any(String) },
    ])
    expect(jsonLines((await runCli(['stream', 'others', '--json', '--storage', storage])).stdout)).toMatchObject([
      { id: 'event-3', version: 1 },
    ])
  })

  test('--strict stops at the first bad line and stores nothing of its batch', async () => {
    const storage = await fresh()
    const lines = [...Array.from({ length: 250 }, (_, n) => eventLine(n)), 'no JSON\n', eventLine(900)]
    const { exitCode, stderr } = await runCli(['import', '-', '--strict', '--batch-size', '100', '--storage', storage], {
      input: lines.join(''),
    })
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^200 events imported before it failed\nheadwater: line 251: .* \[bad-line\]\n$/)
    expect(jsonLines((await runCli(['log', '--json', '--storage', storage])).stdout)).toHaveLength(200)
  })

  test('an id that is stored with another content is a bad line, not a skipped one', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(3) })
    const changed = eventLine(0) + eventLine(1, { data: { n: 'another' } }) + eventLine(2)
    const { exitCode, stdout, stderr } = await runCli(['import', '-', '--json', '--storage', storage], { input: changed })
    expect(exitCode).toBe(1)
    expect(jsonLines(stdout)).toMatchObject([{ imported: 0, skipped: 2, bad: 1 }])
    expect(jsonLines(stderr)).toEqual([{ line: 2, reason: expect.stringContaining('event-1 is in the log already') }])
    const strict = await runCli(['import', '-', '--json', '--strict', '--storage', storage], { input: `${eventLine(7)}${changed}` })
    expect(jsonLines(strict.stderr)).toMatchObject([{ error: { code: 'bad-line', message: expect.stringContaining('line 3') } }])
    expect(jsonLines((await runCli(['log', '--json', '--storage', storage])).stdout)).toHaveLength(3)
  })

  test('two imports of one file beside each other store each event once, in order', async () => {
    const storage = await fresh()
    await runCli(['migrate', '--storage', storage])
    const input = eventLines(20_000)
    const runs = await Promise.all([1, 2].map(() => runCli(['import', '-', '--json', '--storage', storage], { input })))
    const results = runs.flatMap(({ stdout }) => jsonLines<{ imported: number; skipped: number; bad: number }>(stdout))
    expect(runs.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toEqual([1, 2].map(() => ({ exitCode: 0, stderr: '' })))
    expect(results.map(({ imported, skipped, bad }) => imported + skipped + bad)).toEqual([20_000, 20_000])
    expect(results.reduce((sum, { imported }) => sum + imported, 0)).toBe(20_000)
    const ids = jsonLines<{ id: string }>((await runCli(['log', '--json', '--storage', storage])).stdout).map(({ id }) => id)
    expect(ids).toEqual(Array.from({ length: 20_000 }, (_, n) => `event-${n}`))
  }, 120_000)

  test('a reader that has seen enough ends an export quietly', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(5_000) })
    for (const args of [['export'], ['log']]) {
      const child = startCli([...args, '--storage', storage])
      const stderr = collect(child.stderr)
      child.stdout.once('data', () => child.stdout.destroy())
      const exitCode = await new Promise((resolve) => child.on('close', resolve))
      expect({ args, exitCode, stderr: stderr() }).toEqual({ args, exitCode: 0, stderr: '' })
    }
  })

  test('an export can be narrowed', async () => {
    const storage = await fresh()
    const input = eventLines(20) + eventLine(20, { type: 'Other', subject: 'other:1' })
    await runCli(['import', '-', '--storage', storage], { input })
    const exported = async (...args: string[]) =>
      jsonLines((await runCli(['export', '--storage', storage, ...args])).stdout).map(({ id }) => id)
    expect(await exported('--type', 'Other')).toEqual(['event-20'])
    expect(await exported('--category', 'thing', '--after', '18')).toEqual(['event-18', 'event-19'])
  })
}

test('an export that cannot be written leaves nothing behind, and says why', async () => {
  const storage = await freshSqliteFile()
  await runCli(['import', '-', '--storage', storage], { input: eventLines(3) })
  const target = join(await freshDirectory(), 'missing', 'log.ndjson')
  const { exitCode, stderr } = await runCli(['export', '--output', target, '--storage', storage])
  expect({ exitCode, stderr }).toEqual({
    exitCode: 1,
    stderr: expect.stringMatching(/^headwater: cannot write .*ENOENT.* \[transfer\]\n$/),
  })
})

test('a file that is not there makes no store', async () => {
  const storage = await freshSqliteFile()
  expect(await runCli(['import', 'missing.ndjson', '--storage', storage])).toMatchObject({
    exitCode: 1,
    stderr: 'headwater: cannot read missing.ndjson: there is no such file [transfer]\n',
  })
  expect(await runCli(['streams', '--storage', storage])).toMatchObject({ exitCode: 3 })
})

test('in production an import does not make a store', async () => {
  const storage = await freshSqliteFile()
  const { exitCode, stderr } = await runCli(['import', '-', '--storage', storage], {
    input: eventLines(1),
    env: { NODE_ENV: 'production' },
  })
  expect({ exitCode, stderr }).toEqual({ exitCode: 3, stderr: expect.stringContaining('headwater migrate') })
})

function collect(stream: NodeJS.ReadableStream): () => string {
  let text = ''
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return () => text
}
