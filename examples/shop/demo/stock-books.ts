import { isDeepStrictEqual } from 'node:util'
import { warehouse } from '../inventory/reactions.ts'
import { stock } from '../inventory/stock.ts'
import type { Shop } from '../shop.ts'
import type { Entry } from './books.ts'
import { count } from './format.ts'
import type { Ledger } from './ledger.ts'
import { add, sum } from './ledger.ts'

/** What came in is on the shelves or gone, nothing is put aside for nobody, and each parcel holds what was ordered. */
export async function checkStock(app: Shop, { accounts, received, reserved, dispatched }: Ledger): Promise<Entry> {
  const { available, reserved: held } = await app.state(stock, warehouse)
  const wrong: string[] = []
  for (const [sku, pieces] of received) {
    const left = available[sku] ?? 0
    const gone = dispatched.get(sku) ?? 0
    if (pieces !== left + gone) wrong.push(`${sku}: ${pieces} received, but ${left} left + ${gone} shipped`)
    if (left < 0) wrong.push(`${sku}: more was sold than there is`)
  }
  for (const [sku, pieces] of reserved) if (pieces !== 0) wrong.push(`${sku}: ${pieces} are reserved for nobody`)
  for (const orderId of Object.keys(held)) wrong.push(`order ${orderId} still has a reservation`)
  for (const [orderId, { outcome, items, dispatched: parcel }] of accounts)
    if (!isDeepStrictEqual(piecesOf(parcel), outcome === 'shipped' ? piecesOf(items) : new Map()))
      wrong.push(`order ${orderId} is ${outcome}, and its parcel is not what was ordered`)
  const [all, left, gone] = [sum(received.values()), sum(Object.values(available)), sum(dispatched.values())]
  return { claim: 'no piece is lost', figures: `${count(all)} received = ${count(left)} left + ${count(gone)} shipped`, wrong }
}

function piecesOf(lines: readonly { readonly sku: string; readonly quantity: number }[]): ReadonlyMap<string, number> {
  const pieces = new Map<string, number>()
  add(pieces, lines)
  return pieces
}
