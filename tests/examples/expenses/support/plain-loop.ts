/** What is said about a log by a loop over its lines and nothing else, to compare the example with. */
export interface PlainFigures {
  readonly eventsByType: Readonly<Record<string, number>>
  readonly declarations: number
  readonly declarationsByState: Readonly<Record<string, number>>
  readonly rejectedAtLeastOnce: number
  readonly declarationsByRejections: Readonly<Record<string, number>>
  readonly rejectionsByRole: Readonly<Record<string, number>>
  readonly paid: { readonly declarations: number; readonly euros: number }
  readonly paidByMonth: Readonly<Record<string, number>>
  readonly timeToPayment: { readonly declarations: number; readonly medianDays: number; readonly p90Days: number }
}

interface Line {
  readonly type: string
  readonly subject: string
  readonly time: string
  readonly data: { readonly role: string; readonly amount: number }
}

const states: Readonly<Record<string, string>> = {
  DeclarationSaved: 'saved',
  DeclarationSubmitted: 'submitted',
  DeclarationApproved: 'approved',
  DeclarationFinalApproved: 'approved-finally',
  DeclarationRejected: 'rejected',
  PaymentRequested: 'payment-requested',
  PaymentHandled: 'paid',
}

export function countInPlainLoop(text: string): PlainFigures & { readonly events: number; readonly longest: number } {
  const lines = text
    .trimEnd()
    .split('\n')
    .map((line): Line => JSON.parse(line) as Line)
  const streams = new Map<string, Line[]>()
  for (const line of lines) streams.set(line.subject, [...(streams.get(line.subject) ?? []), line])
  const histories = [...streams.values()]
  const rejections = histories.map((history) => history.filter(({ type }) => type === 'DeclarationRejected').length)
  const paid = histories.filter((history) => history.some(({ type }) => type === 'PaymentHandled'))
  const days = paid.flatMap(daysToPayment).toSorted((a, b) => a - b)
  const paymentsByMonth = Object.groupBy(
    lines.filter(({ type }) => type === 'PaymentHandled'),
    ({ time }) => time.slice(0, 7),
  )
  return {
    events: lines.length,
    longest: Math.max(...histories.map(({ length }) => length)),
    eventsByType: tally(lines.map(({ type }) => type)),
    declarations: histories.length,
    declarationsByState: tally(histories.map((history) => states[history.at(-1)!.type]!)),
    rejectedAtLeastOnce: rejections.filter((times) => times > 0).length,
    declarationsByRejections: tally(rejections.filter((times) => times > 0).map(String)),
    rejectionsByRole: tally(
      lines.filter(({ type }) => type === 'DeclarationRejected').map(({ data: { role } }) => (role === 'MISSING' ? 'unknown' : role)),
    ),
    paid: { declarations: paid.length, euros: eurosOf(paid.map(([first]) => first!)) },
    paidByMonth: Object.fromEntries(Object.entries(paymentsByMonth).map(([month, payments]) => [month, eurosOf(payments!)])),
    timeToPayment: { declarations: days.length, medianDays: nearestRank(days, 0.5), p90Days: nearestRank(days, 0.9) },
  }
}

function tally(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function daysToPayment(history: readonly Line[]): readonly number[] {
  const submitted = history.find(({ type }) => type === 'DeclarationSubmitted')
  const handled = history.find(({ type }) => type === 'PaymentHandled')
  return submitted && handled ? [(Date.parse(handled.time) - Date.parse(submitted.time)) / 86_400_000] : []
}

function nearestRank(sorted: readonly number[], share: number): number {
  return sorted[Math.ceil(share * sorted.length) - 1]!
}

/** The exact sum of what the lines hold, which are binary fractions, rounded to cents once. `BigInt` refuses what is not whole. */
function eurosOf(lines: readonly Line[]): number {
  const scale = 2 ** 60
  const sum = lines.reduce((total, { data }) => total + BigInt(data.amount * scale), 0n)
  const cents = (sum * 200n + BigInt(scale)) / (2n * BigInt(scale))
  return Number(cents) / 100
}
