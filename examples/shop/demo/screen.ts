import type { Customers } from './customers.ts'
import type { Figures } from './figures.ts'
import { Observer } from './figures.ts'
import { frameOf, lineOf } from './view.ts'
import type { Shop } from '../shop.ts'

const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[0J'

export interface Shown {
  readonly title: string
  readonly footer: readonly string[]
}

/** Where people watch: a terminal is redrawn in place four times a second; anything else gets a line a second. */
export class Screen {
  readonly #shown: Shown
  readonly #isTerminal = process.stdout.isTTY
  #lines = 0
  #timer: NodeJS.Timeout | undefined
  #drawing: Promise<void> = Promise.resolve()
  #observer: Observer
  #onError: (error: unknown) => void

  constructor(app: Shop, customers: Customers, warnings: readonly string[], shown: Shown, onError: (error: unknown) => void) {
    this.#observer = new Observer(app, customers, warnings)
    this.#shown = shown
    this.#onError = onError
  }

  start(): void {
    if (this.#isTerminal) {
      process.stdout.write(hideCursor)
      process.on('exit', () => process.stdout.write(showCursor))
    } else for (const line of [this.#shown.title, ...this.#shown.footer]) process.stdout.write(`${line}\n`)
    this.#draw()
    this.#timer = setInterval(() => this.#draw(), this.#isTerminal ? 250 : 1_000)
  }

  /** Shows the last state, which stays. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#draw()
    await this.#drawing
  }

  #draw(): void {
    this.#drawing = this.#drawing.then(async () => this.#show(await this.#observer.look(this.#isTerminal ? 20 : 0))).catch(this.#onError)
  }

  #show(figures: Figures): void {
    if (!this.#isTerminal) {
      process.stdout.write(`${lineOf(figures)}\n`)
      return
    }
    const { columns, rows } = process.stdout
    const lines = frameOf(figures, { ...this.#shown, columns, rows })
    const back = this.#lines > 0 ? `\u001b[${this.#lines}F` : ''
    process.stdout.write(`${back}${lines.map((line) => `${line}${clearLine}\n`).join('')}${clearBelow}`)
    this.#lines = lines.length
  }
}
