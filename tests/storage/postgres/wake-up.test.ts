import { expect, test } from 'vitest'
import { appending } from '../../../src/conformance/storage/write-sets.ts'
import type { PostgresClient, PostgresPool } from '../../../src/storage/postgres/index.ts'
import { postgres } from '../../../src/storage/postgres/index.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { startAppender } from './processes.ts'
import { commitOne, committed, connect, named, open, poolWith, schemaFor } from './support.ts'

/** Counts wake-ups, and lets a test wait for the next one. */
function counter() {
  let count = 0
  return { wake: () => void count++, count: () => count, more: (than: number) => eventually(() => expect(count).toBeGreaterThan(than)) }
}

describeOnPostgres('wake-ups by NOTIFY', (url) => {
  for (const [how, connection] of Object.entries({ 'a connection of our own': () => url, 'a client of a pool': () => poolWith(url) }))
    test(`come from another process, over ${how}`, async () => {
      const schema = schemaFor(url)
      const driver = await open(connection(), { schema })
      const woken = counter()
      const stop = await driver.listen(woken.wake)
      const before = woken.count()
      expect(await startAppender(url, schema, 'a', 3).ended).toEqual({ code: 0, errors: '' })
      await woken.more(before)
      await stop()
    })

  test('go on when the connection that listens is lost', async () => {
    const schema = schemaFor(url)
    const [listening, other] = [await open(named(url, schema), { schema }), await open(url, { schema })]
    const woken = counter()
    await listening.listen(woken.wake)
    const killer = await connect(url)
    const kill = async () => {
      const { rowCount } = await killer.query(
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and query like 'LISTEN%'",
        [schema],
      )
      return rowCount
    }
    for (let round = 0; round < 3; round++) {
      const before = woken.count()
      expect(await eventually(async () => (await kill()) || Promise.reject(new Error('not listening')))).toBe(1)
      // Once by itself, for what it may have missed; from then on by others again.
      await woken.more(before)
      const listeningAgain = woken.count()
      other.announce(round + 1)
      await woken.more(listeningAgain)
    }
  })

  test('are not for the process itself, nor for other stores of the database', async () => {
    const [schema, otherSchema] = [schemaFor(url), schemaFor(url)]
    const [driver, elsewhere] = [await open(url, { schema }), await open(url, { schema: otherSchema })]
    const [here, there] = [counter(), counter()]
    await driver.listen(here.wake)
    await elsewhere.listen(there.wake)
    const observer = await connect(url)
    const { rows: channels } = await observer.query("select distinct query from pg_stat_activity where query like 'LISTEN%headwater%'")
    expect(channels.length).toBeGreaterThan(1)
    const before = { here: here.count(), there: there.count() }
    for (let position = 1; position <= 5; position++) driver.announce(position)
    // Ours arrives after those of the store, if any of them does.
    const third = await open(url, { schema: otherSchema })
    third.announce(1)
    await there.more(before.there)
    expect(there.count()).toBe(before.there + 1)
    expect(here.count()).toBe(before.here)
  })

  test('are sent one at a time, the last position after all', async () => {
    const schema = schemaFor(url)
    const driver = await open(url, { schema })
    const observer = await connect(url)
    const payloads: string[] = []
    observer.on('notification', ({ payload = '' }) => payloads.push(payload))
    const { rows } = await observer.query<{ channel: string }>(
      "select 'headwater_' || substr(encode(sha256(convert_to('headwater ' || $1, 'UTF8')), 'hex'), 33) as channel",
      [schema],
    )
    await observer.query(`listen ${rows[0]!.channel}`)
    for (let position = 1; position <= 1_000; position++) driver.announce(position)
    await eventually(() => expect(payloads.at(-1)).toMatch(/ 1000$/))
    expect(payloads.length).toBeLessThan(10)
    // Also when the store is closed right afterwards.
    for (let position = 1_001; position <= 1_003; position++) driver.announce(position)
    await driver.close()
    await eventually(() => expect(payloads.at(-1)).toMatch(/ 1003$/))
  })

  test('do without LISTEN where a pool has no connection to spare, and say so', async () => {
    const schema = schemaFor(url)
    const notices: string[] = []
    const driver = await open(poolWith(url, undefined, 1), { schema, onNotice: (message) => notices.push(message) })
    const stop = await driver.listen(() => undefined)
    expect(notices).toEqual([
      'the pool has no connection that could be kept for LISTEN: new events of other processes are found by polling',
    ])
    committed(await commitOne(driver, appending('order:1')))
    await stop()
  })

  test('give LISTEN up, and say so once, where notifications never arrive', async () => {
    const schema = schemaFor(url)
    const pool = poolWith(url)
    // As a pooler in transaction mode: the statement is accepted, on a connection that is somebody else's a moment later.
    const withoutNotifications: PostgresPool = {
      query: (query) => pool.query(query),
      async connect(): Promise<PostgresClient> {
        const client = await pool.connect()
        return { query: (query) => client.query(query), release: (destroy) => client.release(destroy) }
      },
    }
    const notices: string[] = []
    const driver = await open(withoutNotifications, { schema, onNotice: (message) => notices.push(message) })
    const stop = await driver.listen(() => undefined)
    await eventually(() => expect(notices).toHaveLength(1))
    expect(notices[0]).toMatch(/pooler in transaction mode/)
    await eventually(() => expect(pool.idleCount).toBe(pool.totalCount))
    await stop()
  })

  test('fail for nobody, also when there is nothing left to send them to', async () => {
    const schema = schemaFor(url)
    const rejections: unknown[] = []
    const onRejection = (reason: unknown) => rejections.push(reason)
    process.on('unhandledRejection', onRejection)
    try {
      const driver = await postgres(url, { schema }).open({ migrate: true })
      await driver.listen(() => undefined)
      driver.announce(1)
      await driver.close()
      driver.announce(2)
      await new Promise(setImmediate)
      expect(rejections).toEqual([])
    } finally {
      process.off('unhandledRejection', onRejection)
    }
  })
})
