import { styleText } from 'node:util'
import type { ProcessorStatus } from 'headwater'
import { count, fit, timeOfDay } from '../demo/format.ts'
import type { Draw, Shown } from '../demo/screen.ts'
import type { Auditor, Tally } from './auditor.ts'
import type { Crew } from './crew.ts'
import type { ServiceName } from './services.ts'
import { serviceNames } from './services.ts'
import type { Report } from './words.ts'

export interface Watched {
  readonly crew: Crew
  readonly auditor: Auditor
  readonly reports: ReadonlyMap<ServiceName, Report>
  /** What is going on, should there be something to say about it. */
  readonly phase: () => string | undefined
}

/** A line a service, beneath it how orders stand; where there is no terminal, one line of all that. */
export function drawBoard({ crew, auditor, reports, phase }: Watched, { title, footer }: Shown): Draw {
  return async (terminal) => {
    const tally = await auditor.tally()
    if (!terminal) return [lineOf(tally, reports, crew, phase())]
    const width = Math.max(20, terminal.columns - 1)
    const url = reports.get('orders')?.front?.url
    const services = serviceNames.map((name) => serviceLine(name, reports.get(name), crew))
    const warning = [...reports.values()].flatMap((report) => report.warning ?? []).at(-1)
    return [
      styleText('bold', fit(title, width), { stream: process.stdout }),
      '',
      fit(`orders         ${ordersOf(tally)}${phase() === undefined ? '' : `   ${phase()}`}`, width),
      '',
      ...services.map((line) => fit(line, width)),
      '',
      ...(url === undefined ? [] : [fit(`in a browser   ${url}`, width)]),
      ...footer.map((line) => fit(line, width)),
      ...(warning === undefined ? [] : [styleText('yellow', fit(warning, width), { stream: process.stdout })]),
    ].slice(0, terminal.rows - 1)
  }
}

function serviceLine(name: ServiceName, report: Report | undefined, crew: Crew): string {
  if (!report) return `${name.padEnd(15)}is starting`
  const { head, processors, breakers, deadLetters } = report
  const restarts = crew.restartsOf(name)
  return [
    `${name.padEnd(15)}${`process ${crew.pidOf(name) ?? ''}`.padEnd(16)}${stateOf(processors).padEnd(14)}${count(head).padStart(10)} events`,
    ...breakers.map((breaker) => `breaker ${breaker.name}: ${breaker.state}`),
    ...(deadLetters > 0 ? [`${count(deadLetters)} dead letters`] : []),
    ...(restarts > 0 ? [`started again ${restarts === 1 ? 'once' : `${restarts} times`}`] : []),
  ].join('   ')
}

/** The worst of them. */
function stateOf(processors: readonly ProcessorStatus[]): ProcessorStatus['state'] {
  const worstFirst = ['failing', 'starting', 'standby', 'catching-up', 'live', 'stopped'] as const
  return worstFirst.find((state) => processors.some((processor) => processor.state === state)) ?? 'starting'
}

function lineOf(tally: Tally, reports: Watched['reports'], crew: Crew, phase: string | undefined): string {
  const all = [...reports.values()]
  const open = all.flatMap(({ breakers }) => breakers).filter(({ state }) => state !== 'closed')
  return [
    timeOfDay(new Date()),
    ...(phase === undefined ? [] : [phase]),
    ordersOf(tally),
    serviceNames.map((name) => `${name} ${stateOf(reports.get(name)?.processors ?? [])} (process ${crew.pidOf(name)})`).join(', '),
    ...open.map((breaker) => `breaker ${breaker.name}: ${breaker.state}`),
    `dead letters ${count(all.reduce((sum, { deadLetters }) => sum + deadLetters, 0))}`,
    ...all.flatMap(({ front }) => front?.url ?? []),
  ].join('  |  ')
}

function ordersOf({ placed, shipped, cancelled, backlog }: Tally): string {
  return `placed ${count(placed)}   shipped ${count(shipped)}   cancelled ${count(cancelled)}   to be paid ${count(backlog)}`
}
