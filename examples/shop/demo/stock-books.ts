import { warehouse } from '../inventory/reactions.ts'
import { stock } from '../inventory/stock.ts'
import type { Audited } from './books.ts'
import type { Entry } from './entry.ts'
import { count } from './format.ts'
import type { Ledger } from './ledger.ts'
import { sum } from './ledger.ts'

/** What came in is on the shelves or gone, and nothing is put aside for nobody. The stock is where it is kept: the others have none. */
export async function checkStock(apps: readonly Audited[], { received, dispatched }: Ledger): Promise<Entry> {
  const stocks = await Promise.all(apps.map((app) => app.state(stock, warehouse)))
  const available = Object.assign({}, ...stocks.map((state) => state.available)) as Readonly<Record<string, number>>
  const wrong: string[] = []
  for (const [sku, pieces] of received) {
    const left = available[sku] ?? 0
    const gone = dispatched.get(sku) ?? 0
    if (pieces !== left + gone) wrong.push(`${sku}: ${pieces} received, but ${left} left + ${gone} shipped`)
    if (left < 0) wrong.push(`${sku}: more was sold than there is`)
  }
  for (const orderId of stocks.flatMap(({ reserved }) => Object.keys(reserved))) wrong.push(`order ${orderId} still has a reservation`)
  const [all, left, gone] = [sum(received.values()), sum(Object.values(available)), sum(dispatched.values())]
  return { claim: 'no piece is lost', figures: `${count(all)} received = ${count(left)} left + ${count(gone)} shipped`, wrong }
}
