import type { Expenses } from './expenses.ts'
import {
  declarationsByRejections,
  declarationsByState,
  eventsByType,
  longestHistory,
  paidByMonthAndRole,
  paymentsByMonth,
  rejectionsByRole,
  timeToPayment,
} from './queries.ts'

/** Asks everything, of read models that hold the log up to `position`. Amounts are millionths of a euro. */
export async function collectFigures(app: Expenses, position: number) {
  const current = { atLeast: position, timeoutMs: 120_000 }
  const byState = await app.query(declarationsByState, {}, current)
  const byRejections = await app.query(declarationsByRejections, {}, current)
  const byMonthAndRole = await app.query(paidByMonthAndRole, {}, current)
  return {
    eventsByType: await app.query(eventsByType, {}, current),
    declarations: sumOf(byState, ({ declarations }) => declarations),
    declarationsByState: byState,
    rejectedAtLeastOnce: sumOf(byRejections, ({ declarations }) => declarations),
    declarationsByRejections: byRejections,
    rejectionsByRole: await app.query(rejectionsByRole, {}, current),
    paid: sumOf(byMonthAndRole, ({ declarations }) => declarations),
    paidAmount: sumOf(byMonthAndRole, ({ amount }) => amount),
    paidByMonthAndRole: byMonthAndRole,
    paymentsByMonth: await app.query(paymentsByMonth, {}, current),
    timeToPayment: await app.query(timeToPayment, {}, current),
    longestHistory: await app.query(longestHistory, {}, current),
  }
}

export type Figures = Awaited<ReturnType<typeof collectFigures>>

function sumOf<Row>(rows: readonly Row[], value: (row: Row) => number): number {
  return rows.reduce((sum, row) => sum + value(row), 0)
}
