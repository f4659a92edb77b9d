import type { Bar, Figure, Section } from './figures.ts'
import { isMet, median } from './figures.ts'

/** The section as a table for people. */
export function formatSection({ title, store, figures, notes = [] }: Section): string {
  const rows = figures.map((figure) => [
    figure.name,
    formatNumber(median(figure.samples)),
    figure.unit,
    figure.samples.length > 1 ? `${formatNumber(Math.min(...figure.samples))} – ${formatNumber(Math.max(...figure.samples))}` : '',
    figure.bar ? formatBar(figure.bar) : '',
    { true: 'met', false: 'MISSED', undefined: '' }[String(isMet(figure)) as 'true' | 'false' | 'undefined'],
  ])
  const header = ['', 'median', '', 'least – most', 'bar', '']
  const widths = header.map((name, column) => Math.max(...[header, ...rows].map((row) => (row[column] ?? name).length)))
  const lines = [header, ...rows].map((row) =>
    row
      .map((cell, column) => (column === 1 || column === 3 ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join('  ')
      .trimEnd(),
  )
  return [`${title} · ${store}`, ...lines, ...notes.map((note) => `  ${note}`), ''].join('\n')
}

/** The same for a page. */
export function markdownOf({ title, store, figures, notes = [] }: Section): string {
  const rows = figures.map((figure) => {
    const range =
      figure.samples.length > 1 ? `${formatNumber(Math.min(...figure.samples))} – ${formatNumber(Math.max(...figure.samples))}` : ''
    const met = isMet(figure)
    const bar = figure.bar ? `${formatBar(figure.bar)}${met ? '' : ' **missed**'}` : ''
    return `| ${figure.name} | ${formatNumber(median(figure.samples))} ${figure.unit} | ${range} | ${bar} |`
  })
  return [
    `**${title}, ${store}**`,
    '',
    '| | median | least – most | bar |',
    '| --- | ---: | ---: | --- |',
    ...rows,
    '',
    ...notes.flatMap((note) => [note, '']),
  ].join('\n')
}

function formatBar(bar: Bar): string {
  return 'atLeast' in bar ? `≥ ${formatNumber(bar.atLeast)}` : `≤ ${formatNumber(bar.atMost)}`
}

function formatNumber(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}

export function missedBars(sections: readonly Section[]): readonly { readonly section: Section; readonly figure: Figure }[] {
  return sections.flatMap((section) => section.figures.filter((figure) => isMet(figure) === false).map((figure) => ({ section, figure })))
}
