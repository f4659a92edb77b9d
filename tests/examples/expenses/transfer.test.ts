import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { importLog } from '../../../examples/expenses/import-log.ts'
import { openStorage } from '../../../examples/expenses/storage.ts'
import { silentLog } from '../../../src/observability/log.ts'
import { EventStore } from '../../../src/storage/event-store.ts'
import { exportEvents } from '../../../src/storage/transfer/export-events.ts'
import { importEvents } from '../../../src/storage/transfer/import-events.ts'
import { describeOnPostgres } from '../../support/postgres.ts'
import { describeOnRealLog, eventsInLog } from './support/real-log.ts'
import { freshDatabase, freshDirectory, freshSqlite } from './support/stores.ts'

describeOnRealLog('the real log of expenses', (file) => {
  describeOnPostgres('exported and imported', (url) => {
    test('is the same log, to the byte, from SQLite to PostgreSQL and back', { timeout: 120_000 }, async () => {
      const directory = await freshDirectory()
      const exportTo = async (store: EventStore, name: string): Promise<string> => {
        const path = join(directory, name)
        expect(await exportEvents(store, path)).toMatchObject({ exported: eventsInLog })
        return path
      }
      await using first = await open(await freshSqlite())
      await importLog(first, file)
      const fromSqlite = await exportTo(first, 'sqlite.ndjson')

      await using second = await open(await freshDatabase(url))
      expect(await importEvents(second, fromSqlite)).toMatchObject({ imported: eventsInLog, bad: 0 })
      const fromPostgres = await exportTo(second, 'postgres.ndjson')
      expect((await readFile(fromPostgres)).equals(await readFile(fromSqlite))).toBe(true)

      await using third = await open(await freshSqlite())
      expect(await importEvents(third, fromPostgres)).toMatchObject({ imported: eventsInLog, bad: 0 })
      const again = await exportTo(third, 'again.ndjson')
      expect((await readFile(again)).equals(await readFile(fromSqlite))).toBe(true)
    })
  })
})

async function open(storage: string): Promise<EventStore> {
  return EventStore.open(await openStorage(storage), { log: silentLog })
}
