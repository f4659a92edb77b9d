import { once } from 'node:events'
import { styleText } from 'node:util'

export interface Column<Row> {
  readonly title: string
  readonly value: (row: Row) => string | number
}

/**
 * What goes to standard output: tables and sentences for people, or with `--json` one JSON value a line. Waits for a slow reader, so that a long
 * log does not pile up in memory.
 */
export class Output {
  readonly json: boolean

  constructor(json: boolean) {
    this.json = json
  }

  /** A sentence for people; with `--json`, `value` instead. */
  async say(text: string, value: unknown): Promise<void> {
    await this.#write(this.json ? `${JSON.stringify(value)}\n` : `${text}\n`)
  }

  /** Rows as they come, a page at a time; with `--json`, each as one line. Returns how many there were. */
  async table<Row>(columns: readonly Column<Row>[], pages: AsyncIterable<readonly Row[]>, toJson: (row: Row) => unknown): Promise<number> {
    const table = new Table(columns)
    let count = 0
    for await (const rows of pages) {
      count += rows.length
      if (rows.length === 0) continue
      await this.#write(this.json ? rows.map((row) => `${JSON.stringify(toJson(row))}\n`).join('') : table.format(rows))
    }
    return count
  }

  async #write(text: string): Promise<void> {
    if (!process.stdout.write(text)) await once(process.stdout, 'drain')
  }
}

/** Text in one of the terminal's colours, or as it is where there is no terminal or NO_COLOR is set. */
export function coloured(colour: 'green' | 'yellow' | 'red' | 'dim' | 'bold', text: string): string {
  return styleText(colour, text, { stream: process.stdout })
}

/** Widths only grow, so that the pages of a long table stay in line. On a terminal, the last column is cut to what is left of the line. */
class Table<Row> {
  readonly #columns: readonly Column<Row>[]
  readonly #widths: number[]
  #headed = false

  constructor(columns: readonly Column<Row>[]) {
    this.#columns = columns
    this.#widths = columns.map(({ title }) => title.length)
  }

  format(rows: readonly Row[]): string {
    const cells = rows.map((row) => this.#columns.map(({ value }) => value(row)))
    for (const line of cells)
      for (const [index, cell] of line.entries()) this.#widths[index] = Math.max(this.#widths[index]!, String(cell).length)
    const lines = cells.map((line) => this.#align(line, (index) => typeof line[index] === 'number'))
    if (!this.#headed) {
      const titles = this.#columns.map(({ title }) => title)
      const isNumeric = (index: number): boolean => cells.some((line) => typeof line[index] === 'number')
      lines.unshift(coloured('bold', this.#align(titles, isNumeric)))
      this.#headed = true
    }
    return `${lines.join('\n')}\n`
  }

  #align(cells: readonly (string | number)[], isRight: (index: number) => boolean): string {
    const aligned = cells.map((cell, index) => {
      const [text, width] = [printable(cell), this.#widths[index]!]
      if (isRight(index)) return text.padStart(width)
      return index === cells.length - 1 ? text : text.padEnd(width)
    })
    const line = aligned.join('  ').trimEnd()
    return process.stdout.isTTY && line.length > process.stdout.columns ? `${line.slice(0, process.stdout.columns - 1)}…` : line
  }
}

/** Without control characters: what was stored by others must not move the reader's cursor. */
function printable(cell: string | number): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return String(cell).replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '�')
}

/** The same of a text with several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}

/** On one line, and not longer than a table bears. */
export function inOneLine(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ').trim()
  return line.length > 200 ? `${line.slice(0, 199)}…` : line
}

/** `12,345` */
export function formatCount(count: number): string {
  return count.toLocaleString('en-US')
}

/** `one event`, `2 events` */
export function countOf(count: number, singular: string, plural: string = `${singular}s`): string {
  return `${formatCount(count)} ${count === 1 ? singular : plural}`
}

/** `850 ms`, `12.3 s`, `4 min 5 s` */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  return seconds < 3_600
    ? `${Math.floor(seconds / 60)} min ${seconds % 60} s`
    : `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
}

/** `12 s`, `4 min`, `3 h`, `2 days`: as much as one wants to know at a glance. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  return seconds < 48 * 3_600 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} days`
}
