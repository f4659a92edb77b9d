import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { RecordedEvent } from '../../../src/message/event.ts'
import { sqlite } from '../../../src/storage/sqlite/index.ts'
import type { StorageDriver } from '../../../src/storage/port.ts'

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

/** What an appender said: of each event that was acknowledged its position, by its id. */
export type Acknowledged = Map<string, number>

export interface Appender {
  readonly process: ChildProcess
  readonly acknowledged: Acknowledged
  /** Resolves when this many write sets have been acknowledged, or the process has ended. */
  reached(sets: number): Promise<void>
  /** Resolves when the process has ended and all that it said was heard. */
  readonly ended: Promise<{ readonly code: number | null; readonly errors: string }>
}

/** Starts a process that appends, see appender.ts. */
export function startAppender(path: string, name: string, commits = Infinity): Appender {
  const script = fileURLToPath(new URL('appender.ts', import.meta.url))
  const child = spawn(process.execPath, ['--conditions=headwater-source', script, path, name, String(commits)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const acknowledged: Acknowledged = new Map()
  let sets = 0
  let isOver = false
  const waiting: { readonly sets: number; readonly resolve: () => void }[] = []
  const tell = () => {
    for (let index = waiting.length - 1; index >= 0; index--)
      if (isOver || sets >= waiting[index]!.sets) for (const { resolve } of waiting.splice(index, 1)) resolve()
  }
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => {
    if (line === 'ready') return
    const [position, ...ids] = line.split(' ')
    // The last line of a process that was killed may be torn; whole ids only count.
    for (const [index, id] of ids.entries()) if (id.length === 36) acknowledged.set(id, Number(position) + index)
    sets++
    tell()
  })
  const ended = Promise.all([once(child, 'close'), once(lines, 'close')]).then(([[code]]) => {
    isOver = true
    tell()
    return { code: code as number | null, errors }
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  return {
    process: child,
    acknowledged,
    ended,
    reached: (wanted) => new Promise((resolve) => (isOver || sets >= wanted ? resolve() : waiting.push({ sets: wanted, resolve }))),
  }
}
