import type { Figures } from './figures.ts'
import type { LookBack } from './look-back.ts'
import type { Report } from './report.ts'
import { describeImport } from './report.ts'
import type { Column } from './table.ts'
import { count, euros, table } from './table.ts'

/** The report for people. */
export function print({ imported, answeredMs, figures, lookBack, rebuilt, verified }: Report): string {
  return [
    `${describeImport(imported)}; all questions about them were answered ${Math.round(answeredMs)} ms later.`,
    '',
    ...tablesOf(figures),
    ...(lookBack ? [describe(lookBack), ''] : []),
    `Built ${rebuilt.readModel} anew beside the one that is read: ${count(rebuilt.documents)} documents in ${(rebuilt.elapsedMs / 1_000).toFixed(1)} s.`,
    ...verified.map(({ readModel, documents, differences }) =>
      differences.length === 0
        ? `Verified ${readModel}: each of its ${count(documents)} documents is what the log makes of it.`
        : `${readModel} is not what the log makes of it: ${count(differences.length)} documents differ, ${differences.slice(0, 3).join(', ')} among them.`,
    ),
    '',
  ].join('\n')
}

function tablesOf(figures: Figures): readonly string[] {
  const { medianDays, p90Days, declarations } = figures.timeToPayment
  const longest = figures.longestHistory
  return [
    table('Events by type', figures.eventsByType, [
      { title: 'type', value: ({ type }) => type },
      { title: 'events', value: ({ events }) => events, right: true },
    ]),
    table('Declarations by state, after their last events', figures.declarationsByState, [
      { title: 'state', value: ({ state }) => state },
      { title: 'declarations', value: (row) => row.declarations, right: true },
      { title: 'euros', value: ({ amount }) => euros(amount), right: true },
    ]),
    table('Rejections by role', figures.rejectionsByRole, [
      { title: 'by', value: ({ role }) => role },
      { title: 'rejections', value: ({ rejections }) => rejections, right: true },
    ]),
    table(`Declarations rejected at least once: ${count(figures.rejectedAtLeastOnce)}`, figures.declarationsByRejections, [
      { title: 'rejected', value: ({ times }) => `${times} ×` },
      { title: 'declarations', value: (row) => row.declarations, right: true },
    ]),
    paymentsTable(figures),
    `Paid within ${medianDays.toFixed(1)} days of the first submission: half of ${count(declarations)} declarations; nine of ten within ${p90Days.toFixed(1)} days.`,
    longest ? `The longest history is that of declaration ${longest.id}: ${longest.events} events.` : '',
    '',
  ]
}

/** A row a month, a column a role; the last column is another read model's, which must come to the same. */
function paymentsTable({ paidByMonthAndRole, paymentsByMonth, paid, paidAmount }: Figures): string {
  const roles = [...new Set(paidByMonthAndRole.map(({ role }) => role))].toSorted()
  const paidIn = (month: string, role: string): string => {
    const group = paidByMonthAndRole.find((one) => one.month === month && one.role === role)
    return group ? euros(group.amount) : ''
  }
  const columns: readonly Column<(typeof paymentsByMonth)[number]>[] = [
    { title: 'month', value: ({ month }) => month },
    ...roles.map((role) => ({
      title: role.toLowerCase(),
      value: ({ month }: { month: string }) => paidIn(month, role),
      right: true,
    })),
    { title: 'payments', value: ({ payments }) => payments, right: true },
    { title: 'all, in euros', value: ({ amount }) => euros(amount), right: true },
  ]
  const title = `Paid: ${euros(paidAmount)} euros for ${count(paid)} declarations, by month and by who approved before the supervisor`
  return table(title, paymentsByMonth, columns)
}

function describe({ time, before, now }: LookBack): string {
  const was =
    before.events === 0 ? 'was not there yet' : `was ${before.state}, rejected ${before.rejections} times, ${before.events} events old`
  return (
    `On ${time.toISOString().slice(0, 16).replace('T', ' ')} declaration ${now.id} over ${euros(now.amount)} euros ${was}; ` +
    `now it is ${now.state}, after ${now.events} events.`
  )
}
