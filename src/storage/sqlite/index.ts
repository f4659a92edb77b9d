import type { Storage } from '../port.ts'
import type { SqliteOptions } from './open.ts'
import { openDriver } from './open.ts'

export type { SqliteOptions } from './open.ts'

/**
 * A store in one SQLite file, through Node's own `node:sqlite`: nothing to install. Any number of processes of one machine may use the file
 * at the same time; it must lie on a local disk. `':memory:'` keeps everything in this process and loses it when closed; each opening is a
 * store of its own, and readers see what an open transaction of user code has written.
 *
 * A commit is flushed to disk before it is acknowledged. SQLite runs on the caller's thread, so the event loop stands still while a page is
 * read or a commit is flushed, though never to wait for another process.
 */
export function sqlite(path: string, options: SqliteOptions = {}): Storage {
  return { name: 'sqlite', open: (how) => openDriver(path, options, how) }
}
