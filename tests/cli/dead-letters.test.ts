import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { defineEvent } from '../../src/message/event.ts'
import type { DeadLetter } from '../../src/processing/dead-letter.ts'
import { writeDeadLetter } from '../../src/processing/dead-letter.ts'
import type { DeadLetterGroup } from '../../src/processing/dead-letters.ts'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { defineHandler } from '../../src/processing/handler.ts'
import type { OperatorAction } from '../../src/processing/operator-action.ts'
import { writeAction } from '../../src/processing/operator-action.ts'
import { silentLog } from '../../src/observability/log.ts'
import { jsonSchema } from '../../src/schema/json-schema.ts'
import { defineService } from '../../src/service/service.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { log } from '../../src/transport/log/index.ts'
import { defineTopic } from '../../src/transport/topic.ts'
import { startForTest } from '../support/apps.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import type { Ended, FreshStore } from './program.ts'
import { freshDirectory, freshPostgresDatabase, freshSqliteFile, jsonLines, openStore, runCli, startCli } from './program.ts'

interface Thing {
  readonly key: string
  readonly n: number
  readonly extra?: readonly unknown[]
}
const Asked = defineEvent('Asked', jsonSchema<Thing>({ type: 'object', required: ['key', 'n'] }))

describe('on SQLite', () => suite(freshSqliteFile))
describeOnPostgres('on PostgreSQL', (url) => suite(() => freshPostgresDatabase(url)))

type Operator = (...args: string[]) => Promise<Ended>

function operatorOf(storage: string): Operator {
  return (...args) => runCli(['dead-letters', ...args, '--storage', storage])
}

function suite(fresh: FreshStore): void {
  const storageOf = (storage: string) => (storage.startsWith('sqlite:') ? sqlite(storage.slice('sqlite:'.length)) : postgres(storage))

  /** A service of which the handler `charge` throws what `fault` gives, and an operator beside it. */
  async function world(fault: (thing: Thing) => Error | undefined | Promise<undefined>, whenExhausted: 'park' | 'dead-letter' = 'park') {
    const storage = await fresh()
    const done: number[] = []
    const retry = { attempts: 2, firstMs: 1, maxMs: 5 }
    const charge = defineHandler('charge', { on: Asked, retry, whenExhausted }, async ({ data }) => {
      const error = await fault(data)
      if (error) throw error
      done.push(data.n)
    })
    const app = await startForTest(defineService('payments', { handlers: [charge] }), { storage: storageOf(storage) })
    const ask = (...asked: readonly (readonly [key: string, n: number])[]) =>
      app.store.appendAll(asked.map(([key, n]) => ({ stream: `asked:${key}`, events: Asked({ key, n }) })))
    const operate = operatorOf(storage)
    const letters = async (...args: string[]) => jsonLines<DeadLetter>((await operate('list', '--json', ...args)).stdout)
    /** What the app itself says, for what is to be waited for. */
    const untilStates = (states: readonly string[]) =>
      eventually(async () => expect((await app.deadLetters.list()).documents.map(({ state }) => state).toSorted()).toEqual(states))
    return { app, ask, done, letters, operate, storage, untilStates }
  }

  const closed = ({ key, n }: Thing) => (key === 'a' && n === 1 ? new Error(`account 4711 is closed`) : undefined)

  test('lists, filters and groups what could not be handled', async () => {
    const { ask, letters, operate, untilStates } = await world(closed)
    await ask(['a', 1], ['b', 2], ['a', 3])
    await untilStates(['parked', 'waiting'])
    const { stdout, stderr, exitCode } = await operate('list')
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    const [title, parked, waiting] = stdout.split('\n')
    expect(title).toMatch(/^id +state +failed +attempts +next +type +key +reason +error$/)
    expect(parked).toMatch(/^handler:charge@1 +parked +\d+ s ago +2 +Asked +asked:a +[0-9a-f]{12} +Error: account 4711 is closed$/)
    expect(waiting).toMatch(/^handler:charge@3 +waiting +0 +Asked +asked:a$/)

    const ids = async (...args: string[]) => (await letters(...args)).map(({ id }) => id)
    expect(await ids()).toEqual(['handler:charge@1', 'handler:charge@3'])
    expect(await ids('--limit', '1')).toEqual(['handler:charge@1'])
    expect(await ids('--state', 'waiting')).toEqual(['handler:charge@3'])
    expect(await ids('--state', 'waiting', '--state', 'parked')).toHaveLength(2)
    expect(await ids('--key', 'asked:a')).toHaveLength(2)
    expect(await ids('--key', 'asked:b')).toEqual([])
    expect(await ids('--type', 'Asked')).toHaveLength(2)
    expect(await ids('--type', 'Other')).toEqual([])
    expect(await ids('--processor', 'charge')).toHaveLength(2)
    expect(await ids('--processor', 'handler:charge')).toHaveLength(2)
    expect((await operate('list', '--key', 'asked:b')).stdout).toBe('there are no such dead letters\n')

    const [group] = jsonLines<DeadLetterGroup>((await operate('groups', '--json')).stdout)
    expect(group).toMatchObject({ processor: 'handler:charge', failed: 1, waiting: 1, types: ['Asked'] })
    expect(await ids('--fingerprint', group!.fingerprint)).toEqual(['handler:charge@1'])
    expect((await operate('groups', '--processor', 'charge')).stdout).toMatch(
      /^reason +failed +waiting +first +last +processor +types +error\n[0-9a-f]{12} +1 +1 +\d+ s ago +\d+ s ago +handler:charge +Asked +Error: account/,
    )
  })

  test('shows one with its message, attempts, error and what was done about it', async () => {
    const { ask, operate, untilStates } = await world(closed)
    await ask(['a', 1])
    await untilStates(['parked'])
    await operate('retry', 'handler:charge@1', '--by', 'ada', '--reason', 'to see it fail')
    const { stdout, exitCode } = await operate('show', 'handler:charge@1')
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(/^handler:charge@1: parked, 3 attempts, failed first \d+ s ago\n/)
    expect(stdout).toMatch(/\ntype +Asked\nkey +asked:a\nfrom +the log, position 1\nstream +asked:a, version 1\nmessage +\S+ of payments, /)
    expect(stdout).toMatch(/\ndata +\{\n +"key": "a",\n +"n": 1\n +\}\n/)
    expect(stdout).toMatch(/\nattempts\n( {2}\S+Z {2}\d+ ms {2}Error: account 4711 is closed\n){3}/)
    expect(stdout).toMatch(/\nerror\n {2}Error: account 4711 is closed\n +at closed /)
    expect(stdout).toMatch(/\nasked by operators\n {2}\S+Z {2}retry by ada: failed \(to see it fail\)\n$/)
    const [shown] = jsonLines<DeadLetter & { readonly actions: readonly OperatorAction[] }>(
      (await operate('show', 'handler:charge@1', '--json')).stdout,
    )
    expect(shown).toMatchObject({ message: { data: { key: 'a', n: 1 } }, attempts: 3, actions: [{ by: 'ada', outcome: 'failed' }] })
  })

  test('has one tried again, and those behind it go on', async () => {
    let broken = true
    const { ask, done, operate, untilStates } = await world((thing) => (broken ? closed(thing) : undefined))
    await ask(['a', 1], ['a', 2])
    await untilStates(['parked', 'waiting'])
    expect(await operate('retry', 'handler:charge@1')).toEqual({
      exitCode: 1,
      stdout: 'handler:charge@1: failed again, Error: account 4711 is closed (parked)\n',
      stderr: '',
    })
    expect(await operate('retry', 'handler:charge@2')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/^handler:charge@2: refused, it has not failed/) as string,
    })
    broken = false
    expect(await operate('retry', 'handler:charge@1')).toEqual({ exitCode: 0, stdout: 'handler:charge@1: succeeded\n', stderr: '' })
    await eventually(() => expect(done).toEqual([1, 2]))
    expect(await operate('retry', 'handler:charge@1')).toMatchObject({
      exitCode: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /there is no dead letter handler:charge@1: .+ asked to retry it \d+ s ago, and it succeeded \[not-found\]\n$/,
      ) as string,
    })
    const actions = jsonLines<OperatorAction>((await operate('actions', '--json')).stdout)
    expect(actions.map(({ by, outcome, state }) => ({ by, outcome, state }))).toEqual([
      { by: userInfo().username, outcome: 'succeeded', state: 'done' },
      { by: userInfo().username, outcome: expect.stringContaining('it waits behind') as string, state: 'refused' },
      { by: userInfo().username, outcome: 'failed', state: 'done' },
    ])
    expect(jsonLines((await operate('actions', '--json', '--letter', 'handler:charge@2')).stdout)).toHaveLength(1)
    expect(jsonLines((await operate('actions', '--json', '--limit', '2')).stdout)).toHaveLength(2)
    expect((await operate('actions')).stdout).toMatch(
      /^asked +by +action +id +state +outcome +why\n\d+ s ago +\S+ +retry +handler:charge@1 +done +succeeded\n/,
    )
  })

  test('has one thrown away, for a reason that stays on record with the message', async () => {
    const { ask, done, operate, untilStates } = await world(closed)
    await ask(['a', 1], ['a', 2])
    await untilStates(['parked', 'waiting'])
    expect(await operate('discard', 'handler:charge@1', '--by', 'ada', '--reason', 'a test order')).toEqual({
      exitCode: 0,
      stdout: 'handler:charge@1: discarded\n',
      stderr: '',
    })
    await eventually(() => expect(done).toEqual([2]))
    expect(jsonLines((await operate('actions', '--json')).stdout)).toMatchObject([
      { kind: 'discard', by: 'ada', reason: 'a test order', before: { position: 1, error: { message: 'Error: account 4711 is closed' } } },
    ])
    expect(await operate('show', 'handler:charge@1')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('ada asked to discard it') as string,
    })
  })

  test('has other data handled, which is shown before and kept apart from the original', async () => {
    const { ask, done, operate, storage, untilStates } = await world(({ n }) => (n < 0 ? new Error('below zero') : undefined))
    await ask(['a', -1])
    await untilStates(['parked'])
    const file = join(await freshDirectory(), 'data.json')
    await writeFile(file, '{ "key": "a", "n": 1, "extra": [1, { "b": null }] }')
    const edited = await operate('edit', 'handler:charge@1', '--data', file, '--by', 'ada', '--reason', 'a typo')
    expect(edited).toEqual({
      exitCode: 0,
      stdout: '  n: -1 → 1\n  extra: (not there) → [1,{"b":null}]\nhandler:charge@1: edited\n',
      stderr: '',
    })
    const input = '{"key":"a","n":2,"extra":[1,{"b":true},3]}'
    const again = await runEdit(input)
    expect(again.stdout).toBe('  n: 1 → 2\n  extra[1].b: null → true\n  extra[2]: (not there) → 3\nhandler:charge@1: edited\n')
    expect(await runEdit(input)).toMatchObject({ exitCode: 1, stderr: expect.stringContaining('has this data already [failed]') as string })
    const { stdout } = await operate('show', 'handler:charge@1')
    expect(stdout).toMatch(/\ndata now +\{\n +"key": "a",\n +"n": 2,/)
    expect(stdout).toMatch(/\ndata was +\{\n +"key": "a",\n +"n": -1\n +\}\nedited +by ada, \S+: again\n/)
    expect(stdout).toMatch(/edit by ada: edited \(again\)\n.*edit by ada: edited \(a typo\)/)
    expect(done).toEqual([])
    expect(await operate('retry', 'handler:charge@1')).toMatchObject({ exitCode: 0 })
    expect(done).toEqual([2])

    function runEdit(given: string): Promise<Ended> {
      const args = ['edit', 'handler:charge@1', '--data', '-', '--by', 'ada', '--reason', 'again']
      return runCli(['dead-letters', ...args, '--storage', storage], { input: given })
    }
  })

  test('has a whole group tried again, step by step, and stops by itself while it fails', async () => {
    let broken = true
    const { ask, done, letters, operate, untilStates } = await world(() => (broken ? new Error('the bank is closed') : undefined))
    const count = 25
    await ask(...Array.from({ length: count }, (_, n) => [`k${n}`, n] as const))
    await untilStates(Array(count).fill('parked') as string[])
    const [first] = await letters('--limit', '1')
    const stopped = await operate('redrive', '--fingerprint', first!.fingerprint!, '--by', 'ada')
    expect(stopped).toMatchObject({ exitCode: 1, stderr: '' })
    expect(stopped.stdout).toMatch(
      /^1 of 25 messages tried again: 0 succeeded, 1 failed; stopped: 1 of 1 failed again; handler:charge@\d+: failed\n$/,
    )
    expect(await letters()).toHaveLength(count)
    broken = false
    const { exitCode, stdout } = await operate('redrive', '--processor', 'charge', '--rate', '1000', '--reason', 'it is open', '--json')
    expect({ exitCode, result: jsonLines(stdout) }).toEqual({
      exitCode: 0,
      result: [{ retried: count, succeeded: count, failed: 0, total: count }],
    })
    expect(done.toSorted((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, n) => n))
    expect(await operate('redrive', '--processor', 'charge')).toMatchObject({
      exitCode: 0,
      stdout: '0 of 0 messages tried again: 0 succeeded, 0 failed\n',
    })
    expect(await operate('redrive', '--fingerprint', first!.fingerprint!)).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('[not-found]') as string,
    })
  })

  test('leaves out of a redrive what was dealt with while it ran', async () => {
    const meanwhile: { work?: () => Promise<unknown> } = {}
    const { app, ask, done, operate, untilStates } = await world(async ({ n }) => {
      if (!meanwhile.work) throw new Error('closed')
      if (n === 1) await meanwhile.work()
      return undefined
    }, 'dead-letter')
    await ask(['a', 1], ['b', 2], ['c', 3])
    await untilStates(['dead', 'dead', 'dead'])
    const second = (await app.deadLetters.list({ key: 'asked:b' })).documents[0]!
    meanwhile.work = () => app.deadLetters.discard(second.id, { by: 'eve', reason: 'obsolete' })
    const { exitCode, stdout } = await operate('redrive', '--processor', 'charge', '--json')
    expect({ exitCode, result: jsonLines(stdout) }).toEqual({ exitCode: 0, result: [{ retried: 2, succeeded: 2, failed: 0, total: 3 }] })
    expect(done.toSorted((a, b) => a - b)).toEqual([1, 3])
  })

  test('stops a redrive after the step at hand when it is interrupted', async () => {
    let broken = true
    const { app, ask, done, storage, untilStates } = await world(() => (broken ? new Error('closed') : undefined), 'dead-letter')
    await ask(...Array.from({ length: 30 }, (_, n) => [`k${n}`, n] as const))
    await untilStates(Array(30).fill('dead') as string[])
    broken = false
    // So slow that it is in the pause after its first step, or its second, when it is interrupted.
    const child = startCli(['dead-letters', 'redrive', '--processor', 'charge', '--rate', '1', '--json', '--storage', storage])
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (part: string) => (stdout += part))
    await eventually(() => expect(done.length).toBeGreaterThanOrEqual(11))
    child.kill('SIGINT')
    await once(child, 'close')
    expect(child.exitCode).toBe(130)
    expect(jsonLines(stdout)).toEqual([{ retried: 11, succeeded: 11, failed: 0, total: 30, stopped: 'it was interrupted' }])
    expect((await app.deadLetters.list()).documents).toHaveLength(19)
  })

  test('says so when nobody does what was asked for; it is done when the service runs', async () => {
    const { app, ask, operate, storage, untilStates } = await world(closed)
    await ask(['a', 1])
    await untilStates(['parked'])
    await app.stop()
    const asked = await operate('discard', 'handler:charge@1', '--reason', 'obsolete', '--wait', '0')
    expect(asked).toMatchObject({ exitCode: 4, stderr: '' })
    expect(asked.stdout).toMatch(/^handler:charge@1: asked to discard it, but nobody runs handler:charge at the moment; it stays asked for/)
    expect(jsonLines((await operate('retry', 'handler:charge@1', '--wait', '0', '--json')).stdout)).toMatchObject([{ state: 'requested' }])
    expect(await operate('redrive', '--processor', 'charge')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining(
        'nobody runs handler:charge at the moment: start the service first; nothing was tried [failed]',
      ) as string,
    })
    const charge = defineHandler('charge', { on: Asked }, () => {})
    await startForTest(defineService('payments', { handlers: [charge] }), { storage: storageOf(storage) })
    await eventually(async () =>
      expect(jsonLines<OperatorAction>((await operate('actions', '--json')).stdout).map(({ state }) => state)).toEqual(['refused', 'done']),
    )
  })

  test('names a process that runs the handler and does not do what was asked for', async () => {
    const storage = await fresh()
    const store = await openStore(storage)
    const { processors } = store.driver
    await processors.claim({ processor: 'handler:charge', owner: '4711-abc', ttlMs: 60_000, startAt: 0 })
    await new DeadLetters(store).list()
    await store.append('asked:a', Asked({ key: 'a', n: 1 }))
    const letter: DeadLetter = {
      id: 'handler:charge@1',
      processor: 'handler:charge',
      state: 'parked',
      key: 'asked:a',
      position: 1,
      type: 'Asked',
      message: null,
      origin: null,
      attempts: 1,
      history: [],
      error: { name: 'Error', code: null, message: 'Error: \u001b[2Jcleared', stack: null },
      fingerprint: 'f00',
      failedAt: new Date(Date.now() - 3 * 3_600_000).toISOString(),
      nextAttemptAt: null,
      edit: null,
    }
    await store.commit({
      appends: [],
      documents: [writeDeadLetter(letter)],
    })
    const operate = operatorOf(storage)
    const { exitCode, stdout } = await operate('retry', 'handler:charge@1', '--wait', '1')
    expect(exitCode).toBe(4)
    expect(stdout).toContain('but process 4711, which runs handler:charge, has not done it yet')
    // What was stored by others does not move the cursor.
    for (const command of [['list'], ['groups'], ['show', 'handler:charge@1']]) {
      const shown = (await operate(...command)).stdout
      expect(shown).toContain('�[2Jcleared')
      expect(shown).not.toContain('\u001b')
    }
    expect((await operate('list')).stdout).toContain(' 3 h ago ')
    const [asked] = await new DeadLetters(store).requested()
    await store.commit({
      appends: [],
      documents: [writeAction({ ...asked!, requestedAt: new Date(Date.now() - 120_000).toISOString() })],
    })
    const [report] = jsonLines<{ findings: readonly unknown[] }>((await runCli(['doctor', '--json', '--storage', storage])).stdout)
    expect(report!.findings).toContainEqual({
      check: 'operators',
      status: 'warning',
      detail: '1 action asked for more than a minute ago and not done, such as retry handler:charge@1',
      advice: expect.stringContaining('headwater dead-letters actions') as string,
    })
  })

  test('doctor warns of what waits for an operator, and neither it nor `projections` shows what Headwater keeps for itself', async () => {
    const { ask, operate, storage, untilStates } = await world(closed)
    const findings = async () => {
      const [report] = jsonLines<{ findings: readonly { check: string; status: string; detail: string }[] }>(
        (await runCli(['doctor', '--json', '--storage', storage])).stdout,
      )
      return report!.findings
    }
    await ask(['b', 1])
    await eventually(async () =>
      expect(await findings()).toContainEqual({ check: 'dead letters', status: 'ok', detail: 'no message waits for an operator' }),
    )
    await ask(['a', 1], ['a', 2])
    await untilStates(['parked', 'waiting'])
    const found = await findings()
    expect(found).toContainEqual({
      check: 'dead letters',
      status: 'warning',
      detail: expect.stringMatching(/^1 parked message with 1 behind, 0 dead ones; the oldest failed \d+ s ago$/) as string,
      advice: expect.stringContaining('headwater dead-letters groups') as string,
    })
    expect(found.filter(({ check }) => check.startsWith('headwater:'))).toEqual([])
    const rows = jsonLines<{ name: string }>((await runCli(['projections', '--json', '--storage', storage])).stdout)
    expect(rows.map(({ name }) => name)).toEqual(['charge'])
    expect(await operate('list')).toMatchObject({ exitCode: 0 })
  })

  test('a handler in shards: one name for all of them, and no trace of who shares them', async () => {
    const storage = await fresh()
    const charge = defineHandler('charge', { on: Asked, shards: 2, retry: { attempts: 1 } }, async ({ data }) => {
      if (data.n === 1) throw new Error('closed')
    })
    const app = await startForTest(defineService('payments', { handlers: [charge] }), { storage: storageOf(storage) })
    for (const key of ['a', 'b', 'c', 'd', 'e', 'f']) await app.store.append(`asked:${key}`, Asked({ key, n: 1 }))
    await eventually(async () => expect((await app.deadLetters.list()).documents).toHaveLength(6))
    const operate = operatorOf(storage)
    const ids = jsonLines<DeadLetter>((await operate('list', '--processor', 'charge', '--json')).stdout).map(({ id }) => id)
    expect(ids).toHaveLength(6)
    expect(await operate('discard', ids[0]!, '--reason', 'obsolete')).toMatchObject({ exitCode: 0 })
    const rows = jsonLines<{ name: string }>((await runCli(['projections', '--json', '--storage', storage])).stdout)
    expect(rows.map(({ name }) => name)).toEqual(['charge#1/2', 'charge#2/2'])
    const { stdout } = await runCli(['doctor', '--storage', storage])
    expect(stdout).not.toContain('#member')
  })

  test('has events published that were too large for the topic, and throws others away', async () => {
    const broker = sqlite((await freshSqliteFile()).slice('sqlite:'.length))
    const storage = await fresh()
    const events = defineTopic('asked', { events: [Asked] })
    const source = defineService('source', { publishes: [events] })
    const startWith = (maxMessageBytes: number) =>
      startForTest(source, { storage: storageOf(storage), transport: log(broker, { maxMessageBytes }) })
    const small = await startWith(2_000)
    const long = (n: number): Thing => ({ key: 'a', n, extra: ['x'.repeat(3_000)] })
    for (const thing of [long(1), { key: 'a', n: 2 }, long(3), long(4)]) await small.store.append('asked:a', Asked(thing))
    const operate = operatorOf(storage)
    const ids = async () => (await small.deadLetters.list()).documents.map(({ id }) => id)
    await eventually(async () => expect(await ids()).toEqual(['relay:asked@1', 'relay:asked@3', 'relay:asked@4']))
    expect(await operate('retry', 'relay:asked@1')).toMatchObject({
      exitCode: 1,
      stdout: expect.stringContaining('failed again, MessageTooLargeError') as string,
    })
    const shorter = join(await freshDirectory(), 'shorter.json')
    await writeFile(shorter, JSON.stringify({ key: 'a', n: 1 }))
    expect(await operate('edit', 'relay:asked@1', '--data', shorter, '--reason', 'shorter')).toMatchObject({
      exitCode: 1,
      stderr: expect.stringContaining('which nobody edits') as string,
    })
    await small.stop()
    const large = await startWith(10_000)
    expect(await operate('retry', 'relay:asked@1', '--by', 'ada')).toMatchObject({
      exitCode: 0,
      stdout: 'relay:asked@1: succeeded; it was published after later events of its key\n',
    })
    expect(await operate('discard', 'relay:asked@3', '--reason', 'nobody wants it')).toMatchObject({ exitCode: 0 })
    expect((await operate('redrive', '--processor', 'relay:asked')).stdout).toContain('1 of 1 message tried again: 1 succeeded, 0 failed')
    expect((await large.deadLetters.list()).documents).toEqual([])
    const reader = await EventStore.open(broker, { log: silentLog })
    onTestFinished(() => reader.close())
    const published: string[] = []
    for await (const { stream, metadata } of reader.readLog())
      if (stream === 'asked:a') published.push((metadata as { attributes: { position: string } }).attributes.position)
    expect(published.map(Number)).toEqual([2, 1, 4])
    const actions = (await large.deadLetters.actions()).map(({ kind, letter, by, outcome }) => ({ kind, letter, by, outcome }))
    expect(actions).toContainEqual({ kind: 'retry', letter: 'relay:asked@1', by: 'ada', outcome: 'succeeded' })
  })

  test('handlers of topics and relays: where messages came from, and positions that are none of the log', async () => {
    const broker = storageOf(await fresh())
    const storage = await fresh()
    const events = defineTopic('asked', { events: [Asked] })
    const source = await startForTest(defineService('source', { publishes: [events] }), {
      storage: storageOf(await fresh()),
      transport: log(broker),
    })
    const charge = defineHandler('charge', { on: Asked, retry: { attempts: 1 } }, ({ data }) => {
      if (data.n === 30) throw new Error('thirty')
    })
    await startForTest(defineService('payments', { handlers: [charge], subscribes: [events] }), {
      storage: storageOf(storage),
      transport: log(broker),
    })
    for (let n = 1; n <= 30; n++) await source.store.append('asked:a', Asked({ key: 'a', n }))
    const operate = operatorOf(storage)
    const [letter] = await eventually(async () => {
      const found = jsonLines<DeadLetter>((await operate('list', '--json', '--processor', 'charge')).stdout)
      expect(found).toHaveLength(1)
      return found
    })
    expect(letter!.processor).toBe('handler:charge@asked/0')
    const { stdout } = await operate('show', letter!.id)
    expect(stdout).toMatch(/\nfrom +topic asked, partition 0, offset \d+\n/)
    expect(stdout).toMatch(/\nheaders +\{/)
    // Its checkpoint is far beyond the end of the log of this store, which is empty.
    const doctor = await runCli(['doctor', '--json', '--storage', storage])
    expect(doctor.exitCode).toBe(0)
    expect(jsonLines((await runCli(['projections', '--json', '--storage', storage])).stdout)).toEqual([
      expect.objectContaining({ name: 'charge@asked/0', kind: 'handler', lagEvents: null }),
    ])
    expect(await operate('discard', letter!.id, '--reason', 'done with')).toMatchObject({ exitCode: 0 })
  })
}

test('what is wrong with a command line is said in one sentence, and nothing is done', async () => {
  const storage = await freshSqliteFile()
  await runCli(['migrate', '--storage', storage])
  const operate = operatorOf(storage)
  const says = async (exitCode: number, ...args: string[]) => {
    const ended = await operate(...args)
    expect({ exitCode: ended.exitCode, stdout: ended.stdout, lines: ended.stderr.split('\n').length }).toEqual({
      exitCode,
      stdout: '',
      lines: 2,
    })
    return ended.stderr
  }
  expect(await says(2, 'nonsense')).toContain("unknown command 'nonsense' [usage]")
  expect(await says(2, 'list', '--state', 'broken')).toContain('It must be one of retrying, parked, waiting, dead. [usage]')
  expect(await says(2, 'list', '--limit', '-1')).toContain('It must be a whole number from 0. [usage]')
  expect(await says(2, 'actions', '--limit', '0')).toContain('It must be a whole number from 1. [usage]')
  expect(await says(2, 'show')).toContain("missing required argument 'ID' [usage]")
  expect(await says(2, 'discard', 'handler:x@1')).toContain("required option '--reason <TEXT>' not specified [usage]")
  expect(await says(2, 'edit', 'handler:x@1', '--reason', 'r')).toContain("required option '--data <FILE>' not specified [usage]")
  expect(await says(2, 'edit', 'handler:x@1', '--reason', 'r', '--data', '/nonexistent/file')).toContain(
    'cannot read /nonexistent/file: ENOENT',
  )
  expect(await says(2, 'redrive')).toContain('which messages? Say --fingerprint F')
  expect(await says(2, 'redrive', '--processor', 'x', '--rate', '0')).toContain('It must be a whole number from 1. [usage]')
  expect(await says(2, 'retry', 'handler:x@1', '--wait', 'long')).toContain('It must be a whole number from 0. [usage]')
  const noJson = await runCli(['dead-letters', 'edit', 'handler:x@1', '--reason', 'r', '--data', '-', '--storage', storage], {
    input: '{n: 1}',
  })
  expect(noJson).toMatchObject({
    exitCode: 2,
    stdout: '',
    stderr: expect.stringMatching(/what came on standard input is not JSON: .*\[usage\]\n$/) as string,
  })

  expect(await says(1, 'retry', 'handler:x@1')).toContain(
    'there is no dead letter handler:x@1; if there was one, it has been dealt with [not-found]',
  )
  expect(await says(1, 'show', 'handler:x@1')).toContain('[not-found]')
  expect(await says(1, 'list', '--processor', 'x')).toContain('no handler or relay in this store is named x; there are: none [not-found]')
  expect(await says(1, 'redrive', '--fingerprint', 'f00')).toContain('no message has failed for the reason f00 [not-found]')
  expect(JSON.parse(await says(1, 'show', 'handler:x@1', '--json'))).toMatchObject({ error: { code: 'not-found' } })
  expect(await runCli(['dead-letters', 'list', '--storage', await freshSqliteFile()])).toMatchObject({
    exitCode: 3,
    stdout: '',
    stderr: expect.stringContaining('[unsupported-store]') as string,
  })

  expect((await operate('list')).stdout).toBe('there are no dead letters\n')
  expect((await operate('groups')).stdout).toBe('no message has failed\n')
  expect((await operate('actions')).stdout).toBe('nothing was asked for\n')
  for (const command of ['list', 'groups', 'actions'])
    expect(await operate(command, '--json')).toEqual({ exitCode: 0, stdout: '', stderr: '' })
})
