import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { SqlTransaction, StorageDriver } from '../../storage/port.ts'
import type { BehaviourGroup } from './behaviour.ts'
import { claimed, infoOf } from './leases.ts'
import { commitPatiently, patiently } from './patience.ts'
import { appending } from './write-sets.ts'

/** A table for one behaviour. Its name is its own, since a database may have room for tables that outlive the store. */
async function withTable(driver: StorageDriver, work: (table: Table) => Promise<void>): Promise<void> {
  const table = new Table(`conformance_${randomBytes(6).toString('hex')}`, driver.capabilities.sql === 'postgres')
  await driver.transaction((sql) => sql.query(`create table ${table.name} (name text primary key, total integer not null)`))
  try {
    await work(table)
  } finally {
    await driver.transaction((sql) => sql.query(`drop table ${table.name}`))
  }
}

class Table {
  readonly name: string
  readonly #numbered: boolean

  constructor(name: string, numbered: boolean) {
    this.name = name
    this.#numbered = numbered
  }

  async insert(sql: SqlTransaction, name: string, total: number): Promise<void> {
    await sql.query(`insert into ${this.name} (name, total) values (${this.#numbered ? '$1, $2' : '?, ?'})`, [name, total])
  }

  async rows(driver: StorageDriver): Promise<readonly (readonly [string, number])[]> {
    const { rows } = await driver.transaction((sql) =>
      sql.query<{ name: string; total: number }>(`select name, total from ${this.name} order by name`),
    )
    return rows.map(({ name, total }) => [name, total])
  }
}

export const sqlTransaction: BehaviourGroup = {
  group: 'SQL transactions',
  requires: ({ name, sql }) => (sql === false ? `${name} takes no SQL from its users` : true),
  behaviours: {
    async 'commits when the work resolves, and passes its result on'({ driver, reopen }) {
      await withTable(driver, async (table) => {
        const result = await driver.transaction(async (sql) => {
          await table.insert(sql, "it's $1 ?", 3)
          await table.insert(sql, '😀', 4)
          return 'the result'
        })
        assert.equal(result, 'the result')
        const rows = [
          ["it's $1 ?", 3],
          ['😀', 4],
        ]
        assert.deepEqual(await table.rows(driver), rows)
        const other = await reopen()
        assert.deepEqual(await table.rows(other), rows)
        // Before the table is dropped: whoever has read it may still be in the way.
        await other.close()
      })
    },

    async 'rolls back when the work rejects, with the same error'({ driver }) {
      await withTable(driver, async (table) => {
        const { epoch } = await claimed(driver, 'p', 'me')
        const problem = new Error('the work has failed')
        const failing = driver.transaction(async (sql) => {
          await table.insert(sql, 'a', 1)
          assert.equal(await sql.moveCheckpoint({ processor: 'p', epoch, position: 5 }), true)
          throw problem
        })
        await assert.rejects(failing, problem)
        assert.deepEqual(await table.rows(driver), [])
        assert.equal((await infoOf(driver, 'p'))?.position, 0)
      })
    },

    async 'sees what it has written itself'({ driver }) {
      await withTable(driver, async (table) => {
        const count = await driver.transaction(async (sql) => {
          await table.insert(sql, 'a', 1)
          return (await sql.query(`select name from ${table.name}`)).rows.length
        })
        assert.equal(count, 1)
      })
    },

    async 'moves a checkpoint together with its rows'({ driver }) {
      await withTable(driver, async (table) => {
        const { epoch } = await claimed(driver, 'p', 'me')
        await driver.transaction(async (sql) => {
          await table.insert(sql, 'a', 1)
          assert.equal(await sql.moveCheckpoint({ processor: 'p', epoch, position: 5 }), true)
        })
        assert.equal((await infoOf(driver, 'p'))?.position, 5)
        assert.equal((await table.rows(driver)).length, 1)
      })
    },

    async 'does not move a checkpoint backwards'({ driver }) {
      const { epoch } = await claimed(driver, 'p', 'me', { startAt: 5 })
      const late = driver.transaction(async (sql) => {
        if (!(await sql.moveCheckpoint({ processor: 'p', epoch, position: 3 }))) throw new RangeError('too late')
      })
      await assert.rejects(late, RangeError)
      assert.equal((await infoOf(driver, 'p'))?.position, 5)
    },

    async 'tells when the epoch is over, so that the work can be given up'({ driver }) {
      await withTable(driver, async (table) => {
        const before = await claimed(driver, 'p', 'me', { startAt: 2 })
        const after = await claimed(driver, 'p', 'me')
        const late = (move: { processor: string; epoch: number }): Promise<void> =>
          driver.transaction(async (sql) => {
            await table.insert(sql, 'late', 1)
            if (!(await sql.moveCheckpoint({ ...move, position: 9 }))) throw new RangeError('fenced')
          })
        await assert.rejects(late({ processor: 'p', epoch: before.epoch }), RangeError)
        await assert.rejects(late({ processor: 'p', epoch: after.epoch + 1 }), RangeError)
        await assert.rejects(late({ processor: 'absent', epoch: 1 }), RangeError)
        assert.deepEqual(await table.rows(driver), [])
        assert.equal((await infoOf(driver, 'p'))?.position, 2)
      })
    },

    async 'goes on after a failed one'({ driver }) {
      await withTable(driver, async (table) => {
        await assert.rejects(driver.transaction((sql) => sql.query('this is not SQL')))
        await driver.transaction((sql) => table.insert(sql, 'a', 1))
        await assert.rejects(driver.transaction((sql) => table.insert(sql, 'a', 2)))
        await driver.transaction((sql) => table.insert(sql, 'b', 3))
        assert.deepEqual(await table.rows(driver), [
          ['a', 1],
          ['b', 3],
        ])
        assert.equal((await driver.commit([appending('order:1')]))[0]!.status, 'committed')
      })
    },

    async 'several at once lose nothing, and appends get through beside them'({ driver }) {
      await withTable(driver, async (table) => {
        await driver.transaction((sql) => table.insert(sql, 'total', 0))
        const increments = Array.from({ length: 10 }, () =>
          patiently(driver, () => driver.transaction((sql) => sql.query(`update ${table.name} set total = total + 1`))),
        )
        const appends = Array.from({ length: 10 }, (_, index) => commitPatiently(driver, [appending(`order:${index}`)]))
        await Promise.all([...increments, ...appends])
        assert.deepEqual(await table.rows(driver), [['total', 10]])
        assert.equal((await driver.log()).head, 10)
      })
    },

    async 'does not let what is committed beside it into its own fate'({ driver }) {
      await withTable(driver, async (table) => {
        let append: Promise<unknown> | undefined
        const failing = driver.transaction(async (sql) => {
          await table.insert(sql, 'a', 1)
          // Not awaited in here: on a store with one writer it has to wait for this transaction.
          append = commitPatiently(driver, [appending('order:1')])
          await sql.query(`select name from ${table.name}`)
          throw new RangeError('given up')
        })
        await assert.rejects(failing, RangeError)
        await append
        assert.equal((await driver.log()).head, 1)
        assert.deepEqual(await table.rows(driver), [])
      })
    },
  },
}

export const withoutSql: BehaviourGroup = {
  group: 'SQL transactions, where there are none',
  requires: ({ name, sql }) => (sql === false ? true : `${name} takes SQL from its users`),
  behaviours: {
    async 'are refused, and the work is not begun'({ driver }) {
      let began = false
      await assert.rejects(driver.transaction(async () => (began = true)))
      assert.equal(began, false)
    },
  },
}
