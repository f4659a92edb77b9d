const hideCursor = '\u001b[?25l'
const showCursor = '\u001b[?25h'
const clearLine = '\u001b[K'
const clearBelow = '\u001b[0J'

/** What there is to see now: as many lines as fit a terminal, or, where there is none, what is worth a line of a log. */
export type Draw = (terminal: { readonly columns: number; readonly rows: number } | undefined) => Promise<readonly string[]>

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
  readonly #look: Draw
  readonly #onError: (error: unknown) => void

  constructor(draw: Draw, shown: Shown, onError: (error: unknown) => void) {
    this.#look = draw
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
    const { columns, rows } = process.stdout
    const terminal = this.#isTerminal ? { columns, rows } : undefined
    this.#drawing = this.#drawing.then(async () => this.#show(await this.#look(terminal))).catch(this.#onError)
  }

  #show(lines: readonly string[]): void {
    if (!this.#isTerminal) {
      for (const line of lines) process.stdout.write(`${line}\n`)
      return
    }
    const back = this.#lines > 0 ? `\u001b[${this.#lines}F` : ''
    process.stdout.write(`${back}${lines.map((line) => `${line}${clearLine}\n`).join('')}${clearBelow}`)
    this.#lines = lines.length
  }
}
