import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { EventStore } from '../../src/storage/event-store.ts'
import type { Storage } from '../../src/storage/port.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { eventually } from '../support/eventually.ts'
import { describeOnPostgres } from '../support/postgres.ts'
import { dropSchema, freshSchema } from '../support/stores.ts'

function spawnMember(args: readonly string[]): ChildProcess {
  const program = join(import.meta.dirname, 'failover-process.ts')
  const child = spawn(process.execPath, ['--conditions=headwater-source', program, ...args], { stdio: ['ignore', 'ignore', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  return child
}

type Strike = (
  leader: ChildProcess,
  another: (withinMs?: number) => Promise<ChildProcess>,
  /** Resolves when something was appended: nobody holds the store up. */
  moved: () => Promise<void>,
) => Promise<ChildProcess>

/** Two processes run one service while events come in; the one that leads is killed or paused, again and again. */
async function failOver(storage: Storage, args: readonly string[], strike: Strike): Promise<void> {
  const store = await EventStore.open(storage)
  onTestFinished(() => store.close())
  let members = [spawnMember(args), spawnMember(args)]
  const leaderBut = (before?: ChildProcess, withinMs?: number): Promise<ChildProcess> =>
    eventually(async () => {
      const handler = (await store.driver.processors.list()).find(({ processor }) => processor === 'handler:see')
      const leader = members.find((member) => member !== before && handler?.owner?.startsWith(`${member.pid}-`))
      if (!leader) throw new Error('nobody leads')
      return leader
    }, withinMs)
  let appended = 0
  const moved = async (): Promise<void> => {
    const before = appended
    await eventually(() => expect(appended).toBeGreaterThan(before + 10))
  }
  const stopping = new AbortController()
  const appending = (async () => {
    while (!stopping.signal.aborted)
      await store.append(`counter:${appended++ % 7}`, { type: 'Counted', data: { key: String(appended % 7) } })
  })()
  try {
    for (let round = 0; round < 3; round++) {
      const struck = await leaderBut()
      const replacement = await strike(struck, (withinMs) => leaderBut(struck, withinMs), moved)
      members = [...members.filter((member) => member !== struck), replacement]
    }
  } finally {
    stopping.abort()
    await appending
  }
  const expected = new Map<string, number>()
  const seen = new Map<string, number>()
  await eventually(async () => {
    seen.clear()
    for await (const { data } of store.readLog({ types: ['Seen'] })) increment(seen, (data as { key: string }).key)
    expect([...seen.values()].reduce((sum, count) => sum + count, 0)).toBe(appended)
  })
  for await (const { data } of store.readLog({ types: ['Counted'] })) increment(expected, (data as { key: string }).key)
  expect(Object.fromEntries(seen)).toEqual(Object.fromEntries(expected))
  await eventually(async () => {
    const documents = await store.driver.documents.get('counts@1.1', [...expected.keys()])
    const counts = [...documents.values()].map((text) => JSON.parse(text) as { key: string; count: number })
    expect(Object.fromEntries(counts.map(({ key, count }) => [key, count]))).toEqual(Object.fromEntries(expected))
  })
}

function increment(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}

function scenarios(fresh: () => Promise<{ readonly storage: Storage; readonly args: readonly string[] }>): void {
  test('another process takes over from one that is killed, and every event has its effect once', { timeout: 120_000 }, async () => {
    const { storage, args } = await fresh()
    await failOver(storage, args, async (leader, another) => {
      leader.kill('SIGKILL')
      await another()
      return spawnMember(args)
    })
  })

  test('another process takes over from one that is paused, which then cannot write late', { timeout: 120_000 }, async () => {
    const { storage, args } = await fresh()
    await failOver(storage, args, async (leader, another, moved) => {
      // One that happens to be stopped within a transaction on SQLite holds up everybody on the file: then it is stopped anew, a moment later.
      for (let isReplaced = false; !isReplaced;) {
        leader.kill('SIGSTOP')
        isReplaced = await another(4_000).then(
          () => true,
          () => false,
        )
        leader.kill('SIGCONT')
        await moved()
      }
      return leader
    })
  })
}

describe('failover on SQLite', () => {
  scenarios(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'headwater-failover-'))
    onTestFinished(() => rm(directory, { recursive: true, force: true }))
    const path = join(directory, 'test.db')
    return { storage: sqlite(path), args: ['sqlite', path] }
  })
})

describeOnPostgres('failover on PostgreSQL', (url) => {
  scenarios(async () => {
    const schema = freshSchema()
    onTestFinished(() => dropSchema(url, schema))
    return { storage: postgres(url, { schema }), args: ['postgres', url, schema] }
  })
})
