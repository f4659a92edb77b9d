import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { describeOnPostgres } from '../support/postgres.ts'
import type { FreshStore } from './program.ts'
import { eventLine, eventLines, freshDirectory, freshPostgresDatabase, freshSqliteFile, jsonLines, runCli, startCli } from './program.ts'

describe('on SQLite', () => suite(freshSqliteFile))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgresDatabase(url)))

function suite(fresh: FreshStore): void {
  test('migrate makes a store, and does no harm when there is one', async () => {
    const storage = await fresh()
    const before = await runCli(['streams', '--storage', storage])
    expect(before).toMatchObject({ exitCode: 3, stderr: expect.stringMatching(/headwater migrate.* \[unsupported-store\]\n$/) })
    for (const time of [1, 2]) {
      const { exitCode, stdout } = await runCli(['migrate', '--json', '--storage', storage])
      expect({ time, exitCode, output: jsonLines(stdout) }).toEqual({
        time,
        exitCode: 0,
        output: [{ storage: expect.any(String), head: 0 }],
      })
    }
    expect(await runCli(['streams', '--storage', storage])).toMatchObject({ exitCode: 0, stdout: 'there are no streams\n' })
    expect(await runCli(['streams', '--json', '--storage', storage])).toMatchObject({ exitCode: 0, stdout: '' })
    expect(await runCli(['log', '--storage', storage])).toMatchObject({
      exitCode: 0,
      stdout: 'there are no such events; the log ends at position 0\n',
    })
    expect(await runCli(['log', '--json', '--storage', storage])).toMatchObject({ exitCode: 0, stdout: '' })
  })

  test('streams, one stream, and a stream as it was', async () => {
    const storage = await fresh()
    const at = (day: number) => ({ time: `2026-03-${day}T12:00:00Z`, subject: 'account:a' })
    const input = eventLine(0, at(14)) + eventLine(1, at(15)) + eventLine(2, at(16)) + eventLine(3, { subject: 'other' })
    await runCli(['import', '-', '--storage', storage], { input })
    const run = (...args: string[]) => runCli([...args, '--storage', storage])

    expect((await run('streams')).stdout).toBe('version  position  stream\n      3         3  account:a\n      1         4  other\n')
    expect(jsonLines((await run('streams', '--category', 'account', '--json')).stdout)).toEqual([
      { stream: 'account:a', version: 3, position: 3 },
    ])
    expect(jsonLines((await run('streams', '--limit', '1', '--json')).stdout)).toHaveLength(1)

    const versions = async (...args: string[]) =>
      jsonLines((await run('stream', 'account:a', '--json', ...args)).stdout).map(({ version }) => version)
    expect(await versions()).toEqual([1, 2, 3])
    expect(await versions('--at', '2')).toEqual([1, 2])
    expect(await versions('--at', '2026-03-15')).toEqual([1, 2])
    expect(await versions('--at', '2026-03-15T11:59:59')).toEqual([1])
    expect(await versions('--at', '2026-03-15T13:00:00+01:00')).toEqual([1, 2])
    expect((await run('stream', 'account:a')).stdout).toMatch(
      /^version +position +time +type +data\n +1 +1 +2026-03-14T12:00:00.000Z +ThingHappened +\{"n":0\}\n/,
    )

    expect(await run('stream', 'account:b')).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: 'headwater: the stream account:b has no events [not-found]\n',
    })
    expect(await run('stream', 'account:a', '--at', 'yesterday')).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('[usage]') })
  })

  test('the log, filtered and from its end', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(30) + eventLine(30, { type: 'Other', correlationid: 'c' }) })
    const positions = async (...args: string[]) =>
      jsonLines((await runCli(['log', '--json', '--storage', storage, ...args])).stdout).map(({ position }) => position)
    expect(await positions('--last', '3')).toEqual([29, 30, 31])
    expect(await positions('--after', '4', '--limit', '2')).toEqual([5, 6])
    expect(await positions('--type', 'Other')).toEqual([31])
    expect(await positions('--type', 'Other', '--type', 'ThingHappened', '--limit', '1')).toEqual([1])
    expect(await positions('--category', 'nothing')).toEqual([])
    expect(await positions('--correlation', 'c')).toEqual([31])
  })

  test('the log is followed over processes until Ctrl-C', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(20) })
    const child = startCli(['log', '--follow', '--json', '--type', 'Other', '--storage', storage])
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
    const input = eventLines(22) + eventLine(22, { type: 'Other' })
    await runCli(['import', '-', '--storage', storage], { input })
    expect(JSON.parse((await lines.next()).value as string)).toMatchObject({ id: 'event-22', position: 23 })
    child.kill('SIGINT')
    await once(child, 'close')
    expect(child.exitCode).toBe(0)
  })

  test('a log that is followed begins with the last ten events', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(20) })
    const { exitCode, stdout } = await runCli(['log', '--follow', '--limit', '10', '--json', '--storage', storage])
    expect(exitCode).toBe(0)
    expect(jsonLines(stdout).map(({ position }) => position)).toEqual([11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
  })

  test('a sound store has no findings', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(5_000) })
    for (const args of [[], ['--full']]) {
      const { exitCode, stdout } = await runCli(['doctor', '--json', '--storage', storage, ...args])
      const [{ ok, findings } = { ok: undefined, findings: [] }] = jsonLines<{ ok: boolean; findings: { status: string }[] }>(stdout)
      expect(findings.filter(({ status }) => status === 'problem')).toEqual([])
      expect({ ok, exitCode }).toEqual({ ok: true, exitCode: 0 })
    }
  })
}

test('what is wrong with a command line is said in one sentence, and the exit code is 2', async () => {
  const says = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await runCli(args, { cwd: await freshDirectory() })
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    return stderr
  }
  expect(await says('nonsense')).toBe("headwater: unknown command 'nonsense' [usage]\n")
  expect(await says('streams', '--nonsense')).toBe("headwater: unknown option '--nonsense' [usage]\n")
  expect(await says('import')).toBe("headwater: missing required argument 'FILE' [usage]\n")
  expect(await says('log', '--limit', 'many')).toContain('It must be a whole number from 0. [usage]')
  expect(await says('streams')).toMatch(/^headwater: which store\? .*HEADWATER_STORAGE.* \[usage\]\n$/)
  expect(await says('streams', '--storage', 'mysql://me:secret@host/db')).toMatch(
    /^headwater: mysql:\/\/me:…@host\/db names no store: .* \[usage\]\n$/,
  )
  expect(JSON.parse(await says('streams', '--json'))).toEqual({
    error: { code: 'usage', message: expect.stringContaining('which store?') },
  })
  expect(await says('projection', 'verify', 'x', '--storage', 'sqlite:x.db')).toMatch(/^headwater: which service\?/)
  expect(await says()).toContain('Usage: headwater')
})

test('help and version are printed to standard output', async () => {
  expect(await runCli(['--version'])).toMatchObject({ exitCode: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+/) })
  expect(await runCli(['--help'])).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('Exit codes:') })
  expect(await runCli(['import', '--help'])).toMatchObject({ exitCode: 0, stdout: expect.stringContaining('--strict') })
})

test('a database that does not answer leads to the exit code 3, without a stack', async () => {
  const storage = 'postgres://me:secret@127.0.0.1:1/db'
  const { exitCode, stderr } = await runCli(['streams', '--storage', storage])
  expect({ exitCode, lines: stderr.split('\n').length, secret: stderr.includes('secret') }).toEqual({
    exitCode: 3,
    lines: 2,
    secret: false,
  })
  expect(stderr).toMatch(/^headwater: .*ECONNREFUSED.* \[store-unavailable\]\n$/)
  expect((await runCli(['streams', '--verbose', '--storage', storage])).stderr).toMatch(/\n +at /)
  expect(await runCli(['doctor', '--storage', storage])).toMatchObject({ exitCode: 1, stdout: expect.stringContaining('ECONNREFUSED') })
})

test('a file that is no database leads to the exit code 3', async () => {
  const path = join(await freshDirectory(), 'notes.txt')
  await writeFile(path, 'these are notes, and long enough to be looked at as a database, which they are not'.repeat(20))
  expect(await runCli(['streams', '--storage', `sqlite:${path}`])).toMatchObject({
    exitCode: 3,
    stderr: expect.stringContaining('is not an SQLite database'),
  })
})

test('the store can be named in the environment, and an option goes before it', async () => {
  const [first, second] = [await freshSqliteFile(), await freshSqliteFile()]
  await runCli(['import', '-', '--storage', first], { input: eventLines(1) })
  await runCli(['migrate', '--storage', second])
  const env = { HEADWATER_STORAGE: first }
  expect((await runCli(['streams', '--json'], { env })).stdout).not.toBe('')
  expect((await runCli(['streams', '--json', '--storage', second], { env })).stdout).toBe('')
})
