import { styleText } from 'node:util'

export interface Column<Row> {
  readonly title: string
  /** Numbers, and texts that `right` says so of, stand to the right. */
  readonly value: (row: Row) => string | number
  readonly right?: boolean
}

/** Rows as lines of text under a title, the columns in line with each other. */
export function table<Row>(title: string, rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const cells = columns.map(({ value }) => rows.map((row) => textOf(value(row))))
  const widths = columns.map((column, index) => Math.max(column.title.length, ...cells[index]!.map(({ length }) => length)))
  const line = (texts: readonly string[]): string =>
    texts
      .map((text, index) => (columns[index]!.right ? text.padStart(widths[index]!) : text.padEnd(widths[index]!)))
      .join('  ')
      .trimEnd()
  return [
    styleText('bold', title, { stream: process.stdout }),
    ...(columns.some((column) => column.title !== '') ? [dim(line(columns.map((column) => column.title)))] : []),
    ...rows.map((_, row) => line(cells.map((column) => column[row]!))),
    '',
  ].join('\n')
}

/** `12,345` */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** Millionths of a euro as `1,234.50`, rounded to cents once, at the end. */
export function euros(millionths: number): string {
  return eurosOf(millionths).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })
}

/** Millionths of a euro as euros and whole cents. */
export function eurosOf(millionths: number): number {
  return Math.round(millionths / 10_000) / 100
}

export function dim(text: string): string {
  return styleText('dim', text, { stream: process.stdout })
}

/** Without control characters: what others have written must not move the reader's cursor. */
function textOf(value: string | number): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return typeof value === 'number' ? count(value) : value.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '�')
}
