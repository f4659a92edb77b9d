import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { onTestFinished } from 'vitest'

export interface Appender {
  readonly process: ChildProcess
  /** Of each event that was acknowledged its position, by its id. */
  readonly acknowledged: ReadonlyMap<string, number>
  /** Resolves when this many write sets have been acknowledged, or the process has ended. */
  reached(sets: number): Promise<void>
  /** Resolves when the process has ended and all that it said was heard. */
  readonly ended: Promise<{ readonly code: number | null; readonly errors: string }>
}

/** Starts a program that appends and says on standard output what was acknowledged: a line a write set, with its position and the ids of its events. */
export function spawnAppender(program: string, args: readonly string[]): Appender {
  const child = spawn(process.execPath, ['--conditions=headwater-source', program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const acknowledged = new Map<string, number>()
  let sets = 0
  let isOver = false
  let progress = Promise.withResolvers<void>()
  const step = () => {
    progress.resolve()
    progress = Promise.withResolvers<void>()
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
    step()
  })
  const ended = Promise.all([once(child, 'close'), once(lines, 'close')]).then(([[code]]) => {
    isOver = true
    step()
    return { code: code as number | null, errors }
  })
  const reached = async (wanted: number) => {
    while (!isOver && sets < wanted) await progress.promise
  }
  return { process: child, acknowledged, ended, reached }
}
