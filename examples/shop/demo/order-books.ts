import { isDeepStrictEqual } from 'node:util'
import type { Entry } from './entry.ts'
import { count, money } from './format.ts'
import type { Account, Ledger } from './ledger.ts'
import { add, sum } from './ledger.ts'

/** What the logs alone must say of every order once all is done. */
export function checkAccounts(ledger: Ledger): readonly Entry[] {
  return [checkOrders(ledger), checkAnswers(ledger), checkParcels(ledger), checkMoney(ledger), checkMessages(ledger)]
}

function checkOrders({ accounts }: Ledger): Entry {
  const withOutcome = (outcome: Account['outcome']): readonly string[] =>
    [...accounts].filter(([, account]) => account.outcome === outcome).map(([orderId]) => orderId)
  return {
    claim: 'every order is shipped or cancelled',
    figures: `${count(accounts.size)} placed = ${count(withOutcome('shipped').length)} shipped + ${count(withOutcome('cancelled').length)} cancelled`,
    wrong: [
      ...withOutcome('open').map((orderId) => `order ${orderId} is still open`),
      ...withOutcome('unknown').map((orderId) => `order ${orderId} was never placed`),
    ],
  }
}

function checkAnswers({ accounts }: Ledger): Entry {
  const answers = sum([...accounts.values()].map(({ stockAnswers, bankAnswers }) => stockAnswers + bankAnswers))
  return {
    claim: 'each question has one answer',
    figures: `${count(answers)} of warehouse and payments`,
    wrong: [...accounts].flatMap(([orderId, { stockAnswers, confirmed, bankAnswers }]) => [
      ...(stockAnswers === 1 ? [] : [`the warehouse has answered ${stockAnswers} times about order ${orderId}`]),
      ...(bankAnswers === Number(confirmed) ? [] : [`payments has answered ${bankAnswers} times about order ${orderId}`]),
    ]),
  }
}

function checkParcels({ accounts, reserved }: Ledger): Entry {
  const wrong: string[] = []
  for (const [sku, pieces] of reserved) if (pieces !== 0) wrong.push(`${sku}: ${pieces} are reserved for nobody`)
  for (const [orderId, { outcome, items, dispatched }] of accounts)
    if (!isDeepStrictEqual(piecesOf(dispatched), outcome === 'shipped' ? piecesOf(items) : new Map()))
      wrong.push(`order ${orderId} is ${outcome}, and its parcel is not what was ordered`)
  const parcels = [...accounts.values()].filter(({ dispatched }) => dispatched.length > 0).length
  return { claim: 'each parcel holds what was ordered', figures: `${count(parcels)} parcels`, wrong }
}

function checkMoney({ accounts }: Ledger): Entry {
  const all = [...accounts.values()]
  const [charged, refunded] = [sum(all.map((account) => account.charged)), sum(all.map((account) => account.refunded))]
  const due = ({ outcome, total }: Account): number => (outcome === 'shipped' ? total : 0)
  return {
    claim: 'everybody has paid once for what they got',
    figures: `${money(charged)} charged − ${money(refunded)} refunded = ${money(sum(all.map(due)))} shipped`,
    wrong: [...accounts].flatMap(([orderId, account]) => [
      ...(account.charges > 1 ? [`order ${orderId} was charged ${account.charges} times`] : []),
      ...(account.charged - account.refunded === due(account)
        ? []
        : [`order ${orderId} is ${account.outcome} and has paid ${money(account.charged - account.refunded)} of ${money(due(account))}`]),
    ]),
  }
}

function checkMessages({ accounts }: Ledger): Entry {
  const wrong = [...accounts].flatMap(([orderId, { messages }]) => (messages === 2 ? [] : [`${messages} about order ${orderId}`]))
  const sent = sum([...accounts.values()].map(({ messages }) => messages))
  return { claim: 'each customer was told twice about an order', figures: `${count(sent)} messages`, wrong }
}

function piecesOf(lines: readonly { readonly sku: string; readonly quantity: number }[]): ReadonlyMap<string, number> {
  const pieces = new Map<string, number>()
  add(pieces, lines)
  return pieces
}
