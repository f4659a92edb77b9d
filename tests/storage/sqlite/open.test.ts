import { existsSync } from 'node:fs'
import { mkdir, open as openFile, readdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, test } from 'vitest'
import { sqlite } from '../../../src/storage/sqlite/index.ts'
import { assertSqliteVersion } from '../../../src/storage/sqlite/open.ts'
import { open, temporaryDirectory, temporaryFile, wholeLog } from './support.ts'
import { appending } from './write-sets.ts'

const unsupported = (message: RegExp) => expect.objectContaining({ code: 'unsupported-store', message: expect.stringMatching(message) })

describe('opening', () => {
  test('without migrating, a file that is not there is refused with the command that makes it, and not made', async () => {
    const file = await temporaryFile()
    const command = new RegExp(`headwater migrate --storage sqlite:${file}$`)
    await expect(sqlite(file).open({ migrate: false })).rejects.toEqual(unsupported(command))
    expect(existsSync(file)).toBe(false)
  })

  test('without migrating, a database of somebody else is refused and left as it is', async () => {
    const file = await temporaryFile()
    withDatabase(file, (database) => database.exec('CREATE TABLE mine (a)'))
    const message = /is not a Headwater store yet: run {2}headwater migrate/
    await expect(sqlite(file).open({ migrate: false })).rejects.toEqual(unsupported(message))
    withDatabase(file, (database) => expect(database.prepare('PRAGMA journal_mode').get()).toEqual({ journal_mode: 'delete' }))
  })

  test("a service's own database may be the store", async () => {
    const file = await temporaryFile()
    withDatabase(file, (database) => database.exec('CREATE TABLE events (a); INSERT INTO events VALUES (1)'))
    const driver = await open(file)
    await driver.commit([appending('order:1', ['e-1'])])
    const { rows } = await driver.transaction((transaction) => transaction.query('SELECT a FROM events WHERE a = ?', [1]))
    expect(rows).toEqual([{ a: 1 }])
  })

  test('a store that became too new for this program is refused; one that still bears it is not', async () => {
    const file = await temporaryFile()
    await (await sqlite(file).open({ migrate: true })).close()
    withDatabase(file, (database) => database.exec('UPDATE headwater_store SET schema_version = 99'))
    for (const migrate of [true, false]) await (await sqlite(file).open({ migrate })).close()
    for (const column of ['least_reader_version', 'least_writer_version']) {
      withDatabase(file, (database) => database.exec(`UPDATE headwater_store SET ${column} = 98`))
      for (const migrate of [true, false])
        await expect(sqlite(file).open({ migrate })).rejects.toEqual(unsupported(/has the schema 99.* before 98 .*update headwater/))
      withDatabase(file, (database) => database.exec(`UPDATE headwater_store SET ${column} = 1`))
    }
  })

  test('without migrating, a store with an older schema is refused', async () => {
    const file = await temporaryFile()
    await (await sqlite(file).open({ migrate: true })).close()
    withDatabase(file, (database) => database.exec('UPDATE headwater_store SET schema_version = 0'))
    await expect(sqlite(file).open({ migrate: false })).rejects.toEqual(unsupported(/older than \d+: run {2}headwater migrate/))
  })

  test('what is not a database, or cannot be opened, is told apart', async () => {
    const directory = await temporaryDirectory()
    const text = join(directory, 'text')
    await writeFile(text, 'This is a text. '.repeat(500))
    await expect(sqlite(text).open({ migrate: true })).rejects.toEqual(unsupported(/is not an SQLite database/))
    const nowhere = join(directory, 'missing', 'store.db')
    await expect(sqlite(nowhere).open({ migrate: true })).rejects.toEqual(unsupported(/cannot be opened: check that its directory exists/))
    await mkdir(join(directory, 'folder'))
    await expect(sqlite(join(directory, 'folder')).open({ migrate: true })).rejects.toEqual(unsupported(/cannot be opened/))
  })

  test('closed by everybody, the store is one file', async () => {
    const file = await temporaryFile()
    const [first, second] = [await sqlite(file).open({ migrate: true }), await sqlite(file).open({ migrate: true })]
    await first.commit([appending('order:1', ['e-1'])])
    await first.close()
    expect((await second.log()).head).toBe(1)
    await second.close()
    expect(await readdir(dirname(file))).toEqual(['store.db'])
  })

  test('a damaged file is called damaged, by the read that meets the damage', async () => {
    const file = await temporaryFile()
    const driver = await sqlite(file).open({ migrate: true })
    const ids = Array.from({ length: 2_000 }, (_, index) => `e-${index}`)
    await driver.commit([appending('order:1', ids)])
    await driver.close()
    const handle = await openFile(file, 'r+')
    const { size } = await handle.stat()
    await handle.write(Buffer.alloc(size / 2, 0x5a), 0, size / 2, size / 2)
    await handle.close()
    await expect(open(file).then(wholeLog)).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringMatching(/is damaged .*restore it from a backup/),
    })
  })

  test('an SQLite that can damage a shared log is refused', () => {
    for (const version of ['3.51.2', '3.50.4', '3.9.9', '2.99.99']) expect(() => assertSqliteVersion(version)).toThrow(/at least 3\.51\.3/)
    for (const version of ['3.51.3', '3.51.10', '3.53.4', '4.0.0']) expect(() => assertSqliteVersion(version)).not.toThrow()
  })

  test('a store in memory needs no migration, and each is one of its own', async () => {
    const [first, second] = [await sqlite(':memory:').open({ migrate: false }), await sqlite(':memory:').open({ migrate: true })]
    await first.commit([appending('order:1', ['e-1'])])
    expect([(await first.log()).head, (await second.log()).head]).toEqual([1, 0])
    await first.close()
    await second.close()
    await expect(first.log()).rejects.toMatchObject({ code: 'store-closed' })
  })
})

function withDatabase(file: string, use: (database: DatabaseSync) => void): void {
  const database = new DatabaseSync(file)
  use(database)
  database.close()
}
