import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { OperatorAction } from '../../src/processing/operator-action.ts'
import type { ResetResult } from '../../src/service/reset.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { FreshStore } from './program.ts'
import { eventLines, freshDirectory, freshPostgresDatabase, freshSqliteFile, jsonLines, runCli } from './program.ts'
import { service as things } from './things.config.ts'
import { service as post } from './topics.config.ts'

const configOf = (name: string): string[] => ['--app', join(import.meta.dirname, `${name}.config.ts`)]

describe('on SQLite', () => suite(freshSqliteFile))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgresDatabase(url)))

function suite(fresh: FreshStore): void {
  const storageOf = (storage: string) => (storage.startsWith('sqlite:') ? sqlite(storage.slice('sqlite:'.length)) : postgres(storage))

  test('a handler of the log is put back and forward while it runs, which is on record', async () => {
    const storage = await fresh()
    await runCli(['import', '-', '--storage', storage], { input: eventLines(20) })
    const app = await startForTest(things, { storage: storageOf(storage), run: ['handlers'] })
    const position = () => app.status().processors.find(({ processor }) => processor === 'handler:watcher')?.position
    await eventually(() => expect(position()).toBe(20))
    const reset = (...args: string[]) => runCli(['handler', 'reset', ...args, ...configOf('things'), '--storage', storage])

    const refused = await reset('watcher', '--to', 'beginning')
    expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr: expect.stringContaining('has handled events up to position 20') })
    expect(await reset('watcher', '--to', '5', '--replay', '--by', 'ada', '--reason', 'five were wrong')).toEqual({
      exitCode: 0,
      stderr: '',
      stdout:
        'watcher goes on from position 5; everything from there on is handled, what was handled before included\n' +
        '  handler:watcher: 20 → 5, 15 events behind\n' +
        'where it runs, it does so by itself within seconds; else when it is started\n',
    })
    const { stdout } = await reset('watcher', '--to', 'now', '--json')
    const [{ places, ...result }] = jsonLines<ResetResult>(stdout) as [ResetResult]
    expect(result).toEqual({ handler: 'watcher', replay: false })
    expect(places).toEqual([{ processor: 'handler:watcher', from: expect.any(Number), to: 20, behind: 0 }])
    const [, first] = jsonLines<OperatorAction>((await runCli(['dead-letters', 'actions', '--json', '--storage', storage])).stdout)
    expect(first).toMatchObject({ kind: 'reset', by: 'ada', reason: 'five were wrong', outcome: expect.stringContaining('20 → 5') })
    expect(await reset('other', '--to', 'now')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('it has: watcher') })
    expect(await reset('watcher', '--to', 'yesterday')).toMatchObject({ exitCode: 2, stdout: '' })
    expect(await reset('watcher')).toMatchObject({ exitCode: 2, stdout: '' })
  })

  test('one of a topic is put back by the transport of the module, and not without it', async () => {
    const storage = await fresh()
    const broker = join(await freshDirectory(), 'broker.db')
    const app = await startForTest(post, { storage: storageOf(storage), transport: log(sqlite(broker)) })
    await app.store.appendAll([1, 2, 3].map((n) => ({ stream: 'sent:1', events: { type: 'Sent', data: { n } } })))
    await eventually(() =>
      expect(app.status().processors.find(({ processor }) => processor === 'handler:reader@letters/0')?.position).toBe(5),
    )
    const reset = (env: Readonly<Record<string, string>>, ...args: string[]) =>
      runCli(['handler', 'reset', 'reader', ...args, ...configOf('topics'), '--storage', storage], { env })
    expect(await reset({}, '--to', 'beginning')).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('as `transport`') })
    expect(await reset({ POST_BROKER: broker }, '--to', 'beginning')).toMatchObject({
      exitCode: 0,
      stderr: '',
      stdout:
        'reader goes on from the beginning; what it is known to have handled is left out\n' +
        '  handler:reader@letters/0: 5 → 1, 3 messages behind\n' +
        'where it runs, it does so by itself within seconds; else when it is started\n',
    })
    expect(await reset({ POST_BROKER: broker }, '--to', '2')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('no position 2'),
    })
  })
}
