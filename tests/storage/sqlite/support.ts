import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { RecordedEvent } from '../../../src/message/event.ts'
import { sqlite } from '../../../src/storage/sqlite/index.ts'
import type { StorageDriver } from '../../../src/storage/port.ts'
import type { Appender } from '../../support/appender-process.ts'
import { spawnAppender } from '../../support/appender-process.ts'

export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-sqlite-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

export async function temporaryFile(): Promise<string> {
  return join(await temporaryDirectory(), 'store.db')
}

export async function open(path: string, options: Parameters<typeof sqlite>[1] = {}): Promise<StorageDriver> {
  const driver = await sqlite(path, options).open({ migrate: true })
  onTestFinished(() => driver.close())
  return driver
}

export async function wholeLog(driver: StorageDriver): Promise<readonly RecordedEvent[]> {
  const events: RecordedEvent[] = []
  for (;;) {
    const page = await driver.readLog({ after: events.length, limit: 5_000 })
    if (page.length === 0) return events
    events.push(...page)
  }
}

/** Starts a process that appends, see appender.ts. */
export function startAppender(path: string, name: string, commits = Infinity): Appender {
  return spawnAppender(join(import.meta.dirname, 'appender.ts'), [path, name, String(commits)])
}
