import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import { DeadLetters } from '../../src/processing/dead-letters.ts'
import { EventStore } from '../../src/storage/event-store.ts'
import { postgres } from '../../src/storage/postgres/index.ts'
import { sqlite } from '../../src/storage/sqlite/index.ts'
import { dropSchema, freshSchema } from '../support/stores.ts'
import type { Job } from './killed-process.ts'

/** A store that several processes open, told to them as JSON. */
export interface Place {
  readonly kind: 'sqlite' | 'postgres'
  readonly where: string
  readonly schema?: string
}

export async function freshFile(): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'headwater-killed-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return { kind: 'sqlite', where: join(directory, 'test.db') }
}

export function freshDatabase(url: string): Place {
  const schema = freshSchema()
  onTestFinished(() => dropSchema(url, schema))
  return { kind: 'postgres', where: url, schema }
}

export async function openPlace({ kind, where, schema = 'headwater' }: Place): Promise<EventStore> {
  const store = await EventStore.open(kind === 'postgres' ? postgres(where, { schema }) : sqlite(where))
  onTestFinished(() => store.close())
  return store
}

/** So many processes that handle; each that ends is replaced, until the test ends. */
export class Workers {
  readonly #arguments: readonly string[]
  readonly #running = new Set<ChildProcess>()
  #isOver = false
  /** How many have ended. */
  ended = 0

  constructor(count: number, ...places: readonly unknown[]) {
    this.#arguments = places.map((place) => JSON.stringify(place))
    for (let number = 0; number < count; number++) this.#spawn()
    onTestFinished(async () => {
      this.#isOver = true
      await Promise.all([...this.#running].map((child) => this.end(child, 'SIGKILL')))
    })
  }

  get all(): readonly ChildProcess[] {
    return [...this.#running]
  }

  async end(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

  #spawn(): void {
    const program = join(import.meta.dirname, 'killed-process.ts')
    const child = spawn(process.execPath, ['--conditions=headwater-source', program, ...this.#arguments], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    this.#running.add(child)
    child.on('exit', () => {
      this.ended++
      this.#running.delete(child)
      if (!this.#isOver) this.#spawn()
    })
  }
}

/** Ends one process after another while there is work to do, at moments that differ; each third is told to stop, and all of them where nobody is to be killed. */
export async function strike(
  workers: Workers,
  rounds: number,
  progress: () => Promise<number>,
  how: 'kill' | 'stop' = 'kill',
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const before = await progress()
    // At least something happens between two blows, or the machine is too slow to see anything.
    for (let look = 0; look < 200 && (await progress()) <= before; look++) await delay(20)
    await delay((round * 37) % 90)
    const child = workers.all[round % workers.all.length]
    if (child) await workers.end(child, how === 'stop' || round % 3 === 2 ? 'SIGTERM' : 'SIGKILL')
  }
}

/** A message that happened to be tried at each of several blows was taken for the one that killed: an operator sees it, and has it tried again. */
export async function retryBlamed(store: EventStore): Promise<void> {
  const letters = new DeadLetters(store)
  for (const { id, error } of (await letters.list({ state: 'parked' })).documents) {
    expect(error?.code).toBe('process-ended')
    await letters.retry(id, { by: 'ada' })
  }
}

export async function doneIn(store: EventStore): Promise<Record<string, number[]>> {
  const byKey: Record<string, number[]> = {}
  for await (const { data } of store.readLog({ types: ['Done'] })) {
    const { key, n } = data as Job
    ;(byKey[key] ??= []).push(n)
  }
  return byKey
}

export function jobsOf(count: number, keys: number): readonly Job[] {
  return Array.from({ length: count }, (_, n) => ({ key: `k${n % keys}`, n, fails: n % 29 === 7 ? 2 : 0, killsAt: 0 }))
}

export function expectEach(done: Readonly<Record<string, readonly number[]>>, jobs: readonly Job[]): void {
  const expected: Record<string, number[]> = {}
  for (const { key, n } of jobs) (expected[key] ??= []).push(n)
  expect(done).toEqual(expected)
}
