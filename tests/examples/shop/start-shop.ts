import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const shop = join(import.meta.dirname, '../../../examples/shop')

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
}

/** `npm start -- …`, or another program of the shop, in a directory of its own: what npm runs, without npm in between to take the signals. */
export class ShopProcess {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  #output = ''
  #heard: () => void = () => {}

  constructor(directory: string, args: readonly string[], program = 'main.ts') {
    this.#child = spawn(process.execPath, ['--conditions=headwater-source', join(shop, program), ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text
        this.#heard()
      })
    this.ended = new Promise((resolve) => {
      this.#child.on('close', (code, signal) => {
        resolve({ code, signal, output: this.#output })
        this.#heard()
      })
    })
    onTestFinished(async () => {
      this.kill('SIGKILL')
      await this.ended
    })
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The first match in what it has printed so far, waiting until there is one. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#output)
      if (match) return match
      if (this.#child.exitCode !== null || this.#child.signalCode !== null)
        throw new Error(`ended without printing ${pattern}:\n${this.#output}`)
      await new Promise<void>((resolve) => (this.#heard = resolve))
    }
  }
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'headwater-shop-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}
