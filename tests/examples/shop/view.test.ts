import { expect, test } from 'vitest'
import { frameOf, lineOf } from '../../../examples/shop/demo/view.ts'
import type { Figures } from '../../../examples/shop/demo/figures.ts'

const event = {
  type: 'OrderPlaced',
  data: { orderId: 'o-1', customerName: '\u001b[2JAda' },
  id: 'e-1',
  source: 'shop',
  schemaVersion: 1,
  stream: 'order:o-1',
  version: 1,
  position: 1_234,
  time: new Date(),
  correlationId: 'e-1',
  causationId: 'e-1',
  metadata: {},
  tags: [],
}
const figures: Figures = {
  at: new Date(),
  events: 1_234,
  eventsPerSecond: 56.7,
  orders: { placed: 1, confirmed: 2, paid: 3, shipped: 400, cancelled: 5 },
  readYourWriteMs: [1.5, 2.5, 12],
  processors: ['orders', 'inventory', 'payments'].map((name) => ({
    processor: `handler:${name}`,
    state: 'live',
    position: 1_234,
    lagEvents: 0,
    failure: undefined,
    attempt: 1,
  })),
  latest: Array.from({ length: 20 }, () => event),
  warnings: ['12:00:00 the processor stands still'],
}
const footer = ['in a browser   http://127.0.0.1:4000/', 'Ctrl-C ends it']

// oxlint-disable-next-line no-control-regex -- colours are what is looked for
const plain = (line: string): string => line.replaceAll(/\u001b\[\d+m/g, '')

test.each([
  [120, 40],
  [80, 24],
  [60, 15],
  [20, 5],
])('a terminal of %i columns and %i rows is not overrun', (columns, rows) => {
  const lines = frameOf(figures, { title: 'shop', footer, columns, rows }).map(plain)
  expect(lines.length).toBeLessThan(rows)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(Math.max(columns, 21))
})

test('what was stored by others does not move the cursor', () => {
  const text = frameOf(figures, { title: 'shop', footer, columns: 120, rows: 40 }).map(plain).join('\n')
  expect(text).toContain('OrderPlaced')
  expect(text).not.toContain('\u001b')
})

test('where there is no terminal, a line says the most important', () => {
  expect(lineOf(figures)).toMatch(/1,234 events \(57\/s\).*placed 1 .*shipped 400 .*p50 2\.5 ms.*lag 0$/)
  expect(lineOf({ ...figures, orders: undefined })).toContain('counting …')
})
