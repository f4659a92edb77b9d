import type { Figures } from './figures.ts'
import type { ImportedLog } from './import-log.ts'
import type { LookBack } from './look-back.ts'
import { count, eurosOf } from './table.ts'
import type { Rebuilt, Verified } from './upkeep.ts'

export interface Report {
  readonly imported: ImportedLog
  /** How long after the import every question was answered from read models that hold all of it. */
  readonly answeredMs: number
  readonly figures: Figures
  readonly lookBack: LookBack | undefined
  readonly rebuilt: Rebuilt
  readonly verified: readonly Verified[]
}

/** The report for programs: amounts in euros, times in days, maps from name to number. */
export function reportAsJson({ imported, answeredMs, figures, lookBack, rebuilt, verified }: Report): unknown {
  const { eventsByType, declarationsByState, declarationsByRejections, rejectionsByRole, paymentsByMonth, longestHistory } = figures
  return {
    imported: {
      imported: imported.imported,
      skipped: imported.skipped,
      bad: imported.bad,
      position: imported.position,
      eventsPerSecond: eventsPerSecond(imported),
      answeredMs: Math.round(answeredMs),
    },
    eventsByType: Object.fromEntries(eventsByType.map(({ type, events }) => [type, events])),
    declarations: figures.declarations,
    declarationsByState: Object.fromEntries(declarationsByState.map(({ state, declarations }) => [state, declarations])),
    rejectedAtLeastOnce: figures.rejectedAtLeastOnce,
    declarationsByRejections: Object.fromEntries(declarationsByRejections.map(({ times, declarations }) => [times, declarations])),
    rejectionsByRole: Object.fromEntries(rejectionsByRole.map(({ role, rejections }) => [role, rejections])),
    paid: { declarations: figures.paid, euros: eurosOf(figures.paidAmount) },
    paidByMonth: Object.fromEntries(paymentsByMonth.map(({ month, amount }) => [month, eurosOf(amount)])),
    paidByMonthAndRole: figures.paidByMonthAndRole.map(({ amount, ...group }) => ({ ...group, euros: eurosOf(amount) })),
    timeToPayment: figures.timeToPayment,
    longestHistory: longestHistory && { declaration: longestHistory.id, events: longestHistory.events },
    lookBack,
    rebuilt: { ...rebuilt, elapsedMs: Math.round(rebuilt.elapsedMs) },
    verified,
  }
}

export function eventsPerSecond({ imported, skipped, elapsedMs }: ImportedLog): number {
  return Math.round(((imported + skipped) / elapsedMs) * 1_000)
}

export function describeImport({ imported, skipped, bad, ...log }: ImportedLog): string {
  const rate = count(eventsPerSecond({ imported, skipped, bad, ...log }))
  return `${count(imported)} events imported, ${count(skipped)} stored already, ${count(bad)} bad ${bad === 1 ? 'line' : 'lines'}, in ${(log.elapsedMs / 1_000).toFixed(1)} s (${rate} events/s)`
}
