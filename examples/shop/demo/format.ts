/** `12,345` */
export function count(value: number): string {
  return value.toLocaleString('en-US')
}

/** `€ 1,234.50` */
export function money(cents: number): string {
  return `€ ${(cents / 100).toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`
}

/** `2.4 ms`, `1.3 s` */
export function duration(ms: number): string {
  return ms < 1_000 ? `${ms < 10 ? ms.toFixed(1) : ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`
}

/** `14:03:59` */
export function timeOfDay(time: Date): string {
  return time.toTimeString().slice(0, 8)
}

/** Without control characters, which must not move the reader's cursor, and cut to fit. */
export function fit(text: string, width: number): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const printable = text.replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '�')
  return printable.length <= width ? printable.padEnd(width) : `${printable.slice(0, Math.max(0, width - 1))}…`
}
