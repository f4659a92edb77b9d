import { styleText } from 'node:util'
import { categoryOf, idOf } from 'headwater'
import type { ProcessorStatus, RecordedEvent } from 'headwater'
import type { Shop } from '../shop.ts'
import type { Customers } from './customers.ts'
import type { Figures } from './figures.ts'
import { Observer, quantile } from './figures.ts'
import { count, duration, fit, timeOfDay } from './format.ts'
import type { Draw, Shown } from './screen.ts'

export interface Frame {
  readonly title: string
  readonly footer: readonly string[]
  readonly columns: number
  readonly rows: number
}

const eventsOnScreen = 20

/** The shop as it is now, each time that the screen asks. */
export function drawShop(app: Shop, customers: Customers, warnings: readonly string[], shown: Shown): Draw {
  const observer = new Observer(app, customers, warnings)
  return async (terminal) =>
    terminal ? frameOf(await observer.look(eventsOnScreen), { ...shown, ...terminal }) : [lineOf(await observer.look(0))]
}

/** The shop as a screenful of lines. Where it is small, the latest events give way first, then the processors. */
export function frameOf(figures: Figures, { title, footer, columns, rows }: Frame): readonly string[] {
  const width = Math.max(20, columns - 1)
  const { events, eventsPerSecond, orders, readYourWriteMs, processors, latest, warnings } = figures
  const head = [
    colour('bold', fit(title, width)),
    '',
    fit(`orders     ${orders ? statesOf(orders) : 'counting …'}`, width),
    fit(`log        ${count(events)} events   ${count(Math.round(eventsPerSecond))} a second`, width),
    fit(`latency    ${latencyOf(readYourWriteMs)}`, width),
  ]
  const foot = [
    '',
    ...footer.map((line) => fit(line, width)),
    ...warnings.slice(-1).map((warning) => colour('yellow', fit(warning, width))),
  ]
  const body = [
    '',
    colour('dim', fit(`${'processor'.padEnd(34)}${'state'.padEnd(13)}${'position'.padStart(10)}${'lag'.padStart(8)}`, width)),
    ...processors.map((processor) => processorLine(processor, width)),
    '',
  ]
  const room = Math.max(0, rows - 1 - head.length - foot.length)
  const eventLines = latest.slice(-Math.max(1, room - body.length)).map((event) => eventLine(event, width))
  return [...head, ...[...body, ...eventLines].slice(0, room), ...foot].slice(0, rows - 1)
}

function eventLine({ time, position, type, stream, data }: RecordedEvent, width: number): string {
  const id = idOf(stream)
  const where = `${categoryOf(stream)}:${id.length > 12 ? `…${id.slice(-8)}` : id}`
  const what = `${timeOfDay(time)} ${count(position).padStart(9)}  ${type.padEnd(16)} ${where.padEnd(20)} `
  return what.length < width
    ? `${what}${colour(
        'dim',
        fit(
          JSON.stringify(data, (key, value: unknown) => (key === 'orderId' ? undefined : value)),
          width - what.length,
        ),
      )}`
    : fit(what, width)
}

/** The shop in one line, for a log. */
export function lineOf({ at, events, eventsPerSecond, orders, readYourWriteMs, processors }: Figures): string {
  const lag = Math.max(0, ...processors.map(({ lagEvents = 0 }) => lagEvents))
  const failing = processors.filter(({ state }) => state === 'failing').map(({ processor }) => processor)
  return [
    timeOfDay(at),
    `${count(events)} events (${count(Math.round(eventsPerSecond))}/s)`,
    orders ? statesOf(orders) : 'counting …',
    latencyOf(readYourWriteMs),
    `lag ${count(lag)}`,
    ...(failing.length > 0 ? [`tries again: ${failing.join(', ')}`] : []),
  ].join('  |  ')
}

function statesOf(orders: NonNullable<Figures['orders']>): string {
  return Object.entries(orders)
    .map(([status, number]) => `${status} ${count(number)}`)
    .join('   ')
}

function latencyOf(sorted: readonly number[]): string {
  const [median, slow] = [quantile(sorted, 0.5), quantile(sorted, 0.99)]
  return median === undefined || slow === undefined ? 'no orders yet' : `read your write: p50 ${duration(median)}, p99 ${duration(slow)}`
}

const colours = { live: 'green', 'catching-up': 'cyan', failing: 'yellow', standby: 'dim', starting: 'dim', stopped: 'dim' } as const

function processorLine({ processor, state, position, lagEvents }: ProcessorStatus, width: number): string {
  // What another process runs, it alone knows.
  const [reached, lag] = lagEvents === undefined ? ['', ''] : [count(position), count(lagEvents)]
  const line = `${processor.padEnd(34)}${state.padEnd(13)}${reached.padStart(10)}${lag.padStart(8)}`
  return fit(line, width).replace(state, colour(colours[state], state))
}

function colour(name: 'bold' | 'dim' | 'green' | 'cyan' | 'yellow', text: string): string {
  return styleText(name, text, { stream: process.stdout })
}
