import { join } from 'node:path'
import type { Appender } from '../../support/appender-process.ts'
import { spawnAppender } from '../../support/appender-process.ts'

/** Starts a process that appends, see appender.ts. */
export function startAppender(url: string, schema: string, name: string, commits = Infinity): Appender {
  return spawnAppender(join(import.meta.dirname, 'appender.ts'), [url, schema, name, String(commits)])
}
