import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import type { Tethered } from '../../scripts/tether.ts'

const scripts = join(import.meta.dirname, '../../scripts')
let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'headwater-tether-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

test('a server ends, and its directory is removed, when the process that started it is killed', async () => {
  const server = `console.error('server ' + process.pid); setInterval(() => {}, 1000)`
  const tethered: Tethered = { command: process.execPath, args: ['-e', server], directory }
  const program = `
    require('node:child_process').spawn(process.execPath, ${JSON.stringify([join(scripts, 'tether.ts'), JSON.stringify(tethered)])},
      { stdio: ['pipe', 'inherit', 'inherit'], detached: true })`
  const owner = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'pipe'] })
  const serverId = await new Promise<number>((resolve) => {
    owner.stderr.on('data', (chunk: Buffer) => {
      const id = /server (\d+)/.exec(chunk.toString())?.[1]
      if (id !== undefined) resolve(Number(id))
    })
  })

  expect(isRunning(serverId)).toBe(true)
  owner.kill('SIGKILL')
  await vi.waitFor(() => expect([isRunning(serverId), existsSync(directory)]).toEqual([false, false]), { timeout: 20_000 })
})

function isRunning(id: number): boolean {
  try {
    return process.kill(id, 0)
  } catch {
    return false
  }
}
