import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { PlainFigures } from './plain-loop.ts'

const root = join(import.meta.dirname, '../../../..')

/** What the example prints with `--json`. */
export interface Report extends PlainFigures {
  readonly imported: { readonly imported: number; readonly skipped: number; readonly bad: number; readonly position: number }
  readonly longestHistory: { readonly declaration: string; readonly events: number }
  readonly lookBack: { readonly before: { readonly events: number }; readonly now: { readonly id: string; readonly events: number } }
  readonly rebuilt: { readonly documents: number }
  readonly verified: readonly { readonly readModel: string; readonly documents: number; readonly differences: readonly string[] }[]
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

/** The example as its users run it, in a process of its own. */
export class Program {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  #hasEnded = false

  constructor(...args: readonly string[]) {
    const child = spawn(process.execPath, ['--conditions=headwater-source', join(root, 'examples/expenses/main.ts'), ...args], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.process = child
    let [output, errors] = ['', '']
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        this.#hasEnded = true
        resolve({ code, signal, output, errors })
      })
    })
    onTestFinished(() => void child.kill('SIGKILL'))
  }

  get hasEnded(): boolean {
    return this.#hasEnded
  }
}

/** Runs it to its end, which must be a good one. */
export async function report(...args: readonly string[]): Promise<Report> {
  const { code, output, errors } = await new Program(...args, '--json').ended
  if (code !== 0) throw new Error(`the example ended with ${code}: ${errors}${output}`)
  return JSON.parse(output) as Report
}
