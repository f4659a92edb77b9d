import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { uuidv7 } from '../../../src/message/id.ts'
import { append, appending, event } from '../../../src/conformance/storage/write-sets.ts'
import type { StorageDriver } from '../../../src/storage/port.ts'
import type { WriteSet } from '../../../src/storage/write-set.ts'
import { eventually } from '../../support/eventually.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { commitOne, committed, connect, named, open, poolWith, schemaFor, wholeLog } from './support.ts'

describeOnPostgres('connections that are lost', (url) => {
  const ways = {
    'of our own': (schema: string) => open(named(url, schema), { schema }),
    'of a pool': (schema: string) => open(poolWith(named(url, schema)), { schema }),
  }

  for (const [whose, openStore] of Object.entries(ways)) {
    test(`in the middle of commits cost callers who repeat them nothing: ${whose}`, { timeout: 120_000 }, async () => {
      const schema = schemaFor(url)
      const driver = await openStore(schema)
      const killer = await connect(url)
      let kills = 0
      let transient = 0
      const acknowledged = new Map<string, number>()

      const write = async (writer: number) => {
        while (kills < 40) {
          const id = uuidv7()
          const other = event()
          // One event alone, and two in two streams, take different ways.
          const appends =
            writer % 2
              ? [append(`own:${writer}`, 'any', [event({ id })])]
              : [append('shared:1', 'any', [event({ id })]), append(`own:${writer}`, 'any', [other])]
          acknowledged.set(id, await commitUntilKnown(driver, { appends }, id, () => transient++))
        }
      }
      const kill = async () => {
        while (kills < 40) {
          const { rowCount } = await killer.query(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and state <> 'idle'",
            [schema],
          )
          kills += rowCount ?? 0
        }
      }
      await Promise.all([...[0, 1, 2, 3, 4, 5].map(write), kill()])

      expect(transient).toBeGreaterThan(0)
      const log = await patiently(driver, () => wholeLog(driver))
      expect(log.map(({ position }) => position)).toEqual(log.map((_, index) => index + 1))
      const positions = new Map(log.map(({ id, position }) => [id, position]))
      expect(positions.size).toBe(log.length)
      expect([...acknowledged].filter(([id, position]) => positions.get(id) !== position)).toEqual([])
    })

    test(`while they are idle are replaced: ${whose}`, async () => {
      const schema = schemaFor(url)
      const driver = await openStore(schema)
      committed(await commitOne(driver, appending('order:1')))
      await driver.readLog({ after: 0, limit: 1 })
      const killer = await connect(url)
      await killer.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1', [schema])
      await eventually(async () => {
        const { rows } = await killer.query('select 1 from pg_stat_activity where application_name = $1', [schema])
        expect(rows).toEqual([])
      })
      expect(await patiently(driver, () => driver.readLog({ after: 0, limit: 1 }))).toHaveLength(1)
      committed(await patiently(driver, () => commitOne(driver, appending('order:1', 1))))
    })

    test(`in a transaction roll it back: ${whose}`, async () => {
      const schema = schemaFor(url)
      const driver = await openStore(schema)
      const claim = await driver.processors.claim({ processor: 'p', owner: 'me', ttlMs: 60_000, startAt: 0 })
      if (!claim.claimed) throw new Error('nobody else holds it')
      const killer = await connect(url)
      const broken = driver.transaction(async (sql) => {
        await sql.moveCheckpoint({ processor: 'p', epoch: claim.epoch, position: 1 })
        const { rows } = await sql.query<{ pid: number }>('select pg_backend_pid() as pid')
        await killer.query('select pg_terminate_backend($1)', [rows[0]!.pid])
        await eventually(async () => {
          const { rows: left } = await killer.query('select 1 from pg_stat_activity where pid = $1', [rows[0]!.pid])
          expect(left).toEqual([])
        })
      })
      const error = await broken.then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(driver.isTransient(error)).toBe(true)
      expect((await patiently(driver, () => driver.processors.list()))[0]?.position).toBe(0)
    })
  }
})

/** Repeats the same set, as the core does, until it is known to be in the log, once; its position. */
async function commitUntilKnown(driver: StorageDriver, set: WriteSet, id: string, onTransient: () => void): Promise<number> {
  const verdict = await patiently(driver, () => commitOne(driver, set), onTransient)
  if (verdict.status !== 'duplicate-id') return committed(verdict).firstPosition
  const [stored] = await patiently(driver, () => driver.findEvents([{ source: 'conformance', id }]), onTransient)
  return stored!.position
}

async function patiently<T>(driver: StorageDriver, work: () => Promise<T>, onTransient: () => void = () => undefined): Promise<T> {
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!driver.isTransient(error)) throw error
      onTransient()
      // A connection can only be found broken, or made, in another turn of the event loop.
      await nextTurn()
    }
  }
}
