import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

type FromChild<Result> =
  | { readonly kind: 'ready' }
  | { readonly kind: 'done'; readonly result: Result }
  | { readonly kind: 'failed'; readonly error: unknown }

/** A program of `benchmarks/children` at work in a process of its own. */
export interface Child<Result> {
  /** Resolves when it has set up what it needs and waits for `go`. */
  readonly ready: Promise<void>
  go(): void
  readonly result: Promise<Result>
}

export function startChild<Task, Result>(script: string, task: Task): Child<Result> {
  const child = fork(join(import.meta.dirname, '../children', script), { serialization: 'advanced' })
  const ready = Promise.withResolvers<void>()
  const result = Promise.withResolvers<Result>()
  child.on('message', (message: FromChild<Result>) => {
    if (message.kind === 'ready') ready.resolve()
    else if (message.kind === 'done') result.resolve(message.result)
    else result.reject(message.error)
  })
  child.on('exit', (code, signal) => {
    const error = new Error(`${script} ended early: ${signal ?? `exit code ${code}`}`)
    ready.reject(error)
    result.reject(error)
  })
  // Whoever waits for the one need not wait for the other.
  ready.promise.catch(() => undefined)
  result.promise.catch(() => undefined)
  child.send(task as object)
  return { ready: ready.promise, go: () => void child.send({ go: true }), result: result.promise }
}

/** One task in a process of its own, from its beginning to its end. */
export async function runChild<Task, Result>(script: string, task: Task): Promise<Result> {
  const child = startChild<Task, Result>(script, task)
  await Promise.race([child.ready, child.result])
  child.go()
  return child.result
}

/**
 * The child's side: sets up, waits until all are ready, works, says what came out, and ends: also when its parent has ended, or when what failed has
 * left something running.
 */
export async function serveTask<Task, Result>(work: (task: Task, whenGo: () => Promise<void>) => Promise<Result>): Promise<void> {
  process.once('disconnect', () => process.exit(1))
  const [task] = (await once(process, 'message')) as [Task]
  const send = (message: FromChild<Result>): Promise<void> =>
    new Promise((resolve, reject) => process.send!(message, (error: Error | null) => (error ? reject(error) : resolve())))
  try {
    const result = await work(task, async () => {
      const going = once(process, 'message')
      await send({ kind: 'ready' })
      await going
    })
    await send({ kind: 'done', result })
  } catch (error) {
    await send({ kind: 'failed', error })
  }
  process.exit(0)
}

/** Watches how much memory this process has, several times a second. */
export function watchMemory(): { stop(): { readonly peakMb: number; readonly samplesMb: readonly number[] } } {
  const samplesMb: number[] = []
  const sample = (): void => void samplesMb.push(process.memoryUsage.rss() / 2 ** 20)
  sample()
  const timer = setInterval(sample, 100)
  return {
    stop() {
      clearInterval(timer)
      sample()
      return { peakMb: peakMb() ?? Math.max(...samplesMb), samplesMb }
    },
  }
}

/** As the kernel knows it. `process.resourceUsage()` does not: there the peak of the process that started this one counts too. */
function peakMb(): number | undefined {
  try {
    const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
    return kilobytes === undefined ? undefined : Number(kilobytes) / 1_024
  } catch {
    return undefined
  }
}
