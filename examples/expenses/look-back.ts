import type { Declaration } from './declaration.ts'
import { declaration } from './declaration.ts'
import type { Expenses } from './expenses.ts'
import type { Figures } from './figures.ts'

export interface LookBack {
  readonly time: Date
  readonly before: Declaration
  readonly now: Declaration
}

/**
 * One declaration as it was at a time, and as it is. Unless it is said which and when: the one with the longest history, half-way between its
 * submission and its payment. Undefined where there is none.
 */
export async function lookBack(
  app: Expenses,
  { longestHistory }: Figures,
  { id = longestHistory?.id, time }: { readonly id?: string | undefined; readonly time?: Date | undefined } = {},
): Promise<LookBack | undefined> {
  if (id === undefined) return undefined
  const now = await app.state(declaration, id)
  if (now.events === 0) return undefined
  const halfWay = Date.parse(now.submittedAt ?? '') + (now.secondsToPayment ?? 0) * 500
  const at = time ?? new Date(Number.isNaN(halfWay) ? Date.now() : halfWay)
  return { time: at, before: await app.state(declaration, id, { time: at }), now }
}
