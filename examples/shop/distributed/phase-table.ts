import { quantile } from '../demo/figures.ts'
import { count, duration } from '../demo/format.ts'
import type { Phase } from './black-friday.ts'
import { usualPhases } from './black-friday.ts'

/** The day as a table, and whether customers have felt that the bank was slow. */
export function tableOf(phases: readonly Phase[]): readonly string[] {
  const rows = phases.map(({ name, seconds, placed, paid, placingMs, backlog, deadLetters, breakerStates }) => [
    name,
    duration(seconds * 1_000),
    (placed / seconds).toFixed(1),
    durationOf(placingMs, 0.5),
    durationOf(placingMs, 0.99),
    (paid / seconds).toFixed(1),
    count(backlog),
    count(deadLetters),
    breakerStates.length > 4 ? [...breakerStates.slice(0, 3), '…', breakerStates.at(-1)].join(' → ') : breakerStates.join(' → '),
  ])
  const head = ['the bank is', 'for', 'placed/s', 'p50', 'p99', 'paid/s', 'backlog', 'dead letters', 'breaker']
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const isText = (column: number): boolean => column === 0 || column === head.length - 1
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (isText(column) ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
      .join('  ')
      .trimEnd()
  return [line(head), ...rows.map(line), '', comparison(phases)]
}

function comparison(phases: readonly Phase[]): string {
  const p99 = (...names: readonly string[]): number | undefined => {
    const placingMs = phases.filter(({ name }) => names.includes(name)).flatMap((phase) => phase.placingMs)
    return quantile(
      placingMs.toSorted((a, b) => a - b),
      0.99,
    )
  }
  const [usual, slow, down] = [p99(usualPhases.before, usualPhases.after), p99('slow'), p99('out of service')]
  if (usual === undefined || slow === undefined || down === undefined) return 'Too few orders to compare.'
  const times = (value: number): string => `${(value / usual).toFixed(1)} times`
  return `99 of 100 orders were placed within ${duration(usual)} before and after, ${times(slow)} that while the bank was slow, ${times(down)} that while it was out of service.`
}

function durationOf(sorted: readonly number[], part: number): string {
  const value = quantile(sorted, part)
  return value === undefined ? '–' : duration(value)
}
